package tlsrpt

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// reasons reads the constants of reason.go: name to word.
func reasons(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]string{}
	for _, decl := range file.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			continue
		}
		for _, spec := range d.Specs {
			s := spec.(*ast.ValueSpec)
			name := s.Names[0].Name
			if !strings.HasPrefix(name, "Reason") {
				continue
			}
			if s.Comment.Text() == "" {
				t.Errorf("%s has no comment", name)
			}
			words[name], _ = strconv.Unquote(s.Values[0].(*ast.BasicLit).Value)
		}
	}
	if len(words) < 50 {
		t.Fatalf("found only %d reasons", len(words))
	}
	return words
}

func TestEveryReasonIsAWordWithAdvice(t *testing.T) { // R16
	byWord := map[string]string{}
	for name, word := range reasons(t) {
		if !isReason(word) {
			t.Errorf("%s = %q is not of the form [a-z0-9-]{1,64}", name, word)
		}
		if other := byWord[word]; other != "" {
			t.Errorf("%s and %s are both %q", name, other, word)
		}
		byWord[word] = name
		for _, prefix := range []string{httpPrefix, starttlsPrefix, alertPrefix} {
			if strings.HasPrefix(word, prefix) && word != ReasonHTTP {
				t.Errorf("%s = %q looks as if it held a number", name, word)
			}
		}
		checkAdvice(t, Failure{ValidationFailure, word, ""})
	}
	for word := range advice {
		if byWord[word] == "" {
			t.Errorf("there is advice for %q, which is no reason", word)
		}
	}
}

func TestEveryTypeAndNumberHasAdvice(t *testing.T) {
	for _, typ := range []ResultType{STARTTLSNotSupported, CertificateHostMismatch, CertificateExpired, CertificateNotTrusted,
		ValidationFailure, TLSAInvalid, DNSSECInvalid, DANERequired, STSPolicyFetchError, STSPolicyInvalid, STSWebPKIInvalid} {
		if !registered(typ) {
			t.Errorf("%s is not registered", typ)
		}
		checkAdvice(t, Failure{Type: typ})
	}
	for _, word := range []string{HTTPReason(404), STARTTLSReason(454), AlertReason(40), AlertReason(255)} {
		checkAdvice(t, Failure{ValidationFailure, word, ""})
	}
	if got := Advice(Failure{Type: "made-up"}) + Advice(Failure{Reason: "made-up"}); got != "" {
		t.Errorf("advice for what is not ours: %q", got)
	}
}

// checkAdvice wants one sentence that fits a terminal, a report and a log.
func checkAdvice(t *testing.T, f Failure) {
	t.Helper()
	got := Advice(f)
	if got == "" || len(got) > 160 {
		t.Errorf("Advice(%v) has %d octets: %q", f, len(got), got)
	}
	for _, r := range got {
		if r < ' ' || r > '~' {
			t.Errorf("Advice(%v) is not printable ASCII: %q", f, got)
		}
	}
}

func TestReasonsWithNumbers(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{HTTPReason(404), "http-404"},
		{HTTPReason(100), "http-100"},
		{HTTPReason(999), "http-999"},
		{HTTPReason(99), "http-error"},
		{HTTPReason(1000), "http-error"},
		{HTTPReason(-404), "http-error"},
		{STARTTLSReason(454), "starttls-454"},
		{STARTTLSReason(0), "unknown"},
		{STARTTLSReason(4540), "unknown"},
		{AlertReason(40), "tls-alert-handshake-failure"}, // TLS-22
		{AlertReason(70), "tls-alert-protocol-version"},
		{AlertReason(0), "tls-alert-close-notify"},
		{AlertReason(255), "tls-alert-255"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
	for alert := range 256 {
		if word := AlertReason(uint8(alert)); !isReason(word) {
			t.Errorf("alert %d: %q", alert, word)
		}
	}
}
