package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/strictmx/strictmx/tlsrpt"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"the signature of example.org is valid, and covers From, To,", "TLS-Report-Domain, TLS-Report-Submitter",
		"the mail holds the file example.org!example.com!", "\nTLS report about example.com\n", "\nthe same mail, forged: dkim: signature did not verify",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

// RPT-100, RPT-104..RPT-106: what a receiver of reports takes, and what it does not.
func TestVerify(t *testing.T) {
	key, record, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	report, err := yesterday()
	if err != nil {
		t.Fatal(err)
	}
	message, err := report.Message(recipient)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(m []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	good := signed(sign(message, submitter, selector, key))
	if header, _, _ := strings.Cut(string(good), "\r\nDate:"); strings.Contains(header, "l=") {
		t.Errorf("there is an l= in %s", header)
	}
	name := selector + "._domainkey." + submitter
	if tlsrpt.CheckDKIMKey(record) != nil {
		t.Errorf("the record %s does not allow reports", record)
	}
	var uncovered bytes.Buffer
	err = dkim.Sign(&uncovered, bytes.NewReader(message), &dkim.SignOptions{
		Domain: submitter, Selector: selector, Signer: key,
		HeaderKeys: slices.DeleteFunc(tlsrpt.SignedHeaders(), func(h string) bool { return h == "TLS-Report-Submitter" }),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		message []byte
		dns     map[string]string
		want    string
	}{
		{"good", good, map[string]string{name: record}, ""},
		{"unsigned", message, map[string]string{name: record}, "the mail has 0 signatures"},
		{"signed by another domain", signed(sign(message, "example.net", selector, key)),
			map[string]string{selector + "._domainkey.example.net": record}, "the signature is another domain's"},
		{"signed without both headers", uncovered.Bytes(), map[string]string{name: record}, "the signature does not cover TLS-Report-Submitter"},
		{"signed in part", bytes.Replace(good, []byte("DKIM-Signature: "), []byte("DKIM-Signature: l=10; "), 1), map[string]string{name: record}, "insecure body length tag"},
		{"another text", bytes.Replace(good, []byte("What to do"), []byte("Nothing to do"), 1), map[string]string{name: record}, "body hash did not verify"},
		{"a key that nobody published", good, nil, "there is no " + name},
	} {
		_, err := verify(c.message, c.dns)
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
