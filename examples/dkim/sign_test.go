package main

import (
	"bytes"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/strictmx/strictmx/tlsrpt"
)

// unsigned returns a mail with a report.
func unsigned(t *testing.T) []byte {
	t.Helper()
	who := tlsrpt.Submitter{Organization: "Example Mail", Contact: contact}
	report, err := tlsrpt.NewReport(who, owner, time.Now().AddDate(0, 0, -1), []tlsrpt.PolicyResult{{
		Policy: tlsrpt.Policy{Type: tlsrpt.NoPolicyFound, Domain: owner}, Summary: tlsrpt.Summary{Successful: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	message, err := report.Message(recipient)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// signatureTags returns the tags of the signature, by name (RFC 6376, section 3.5).
func signatureTags(t *testing.T, message []byte) map[string]string {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	tags := make(map[string]string)
	for tag := range strings.SplitSeq(m.Header.Get("DKIM-Signature"), ";") {
		name, value, _ := strings.Cut(tag, "=")
		tags[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return tags
}

// limited returns the signed message with an l= in its signature.
func limited(signed []byte) []byte {
	return bytes.Replace(signed, []byte("DKIM-Signature: "), []byte("DKIM-Signature: l=10; "), 1)
}

// RPT-105: the signature has no l=, so it is for the whole of the body and nobody
// can add to a report.
func TestTheSignatureHasNoBodyLength(t *testing.T) {
	key, _, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := sign(unsigned(t), submitter, selector, key)
	if err != nil {
		t.Fatal(err)
	}
	tags := signatureTags(t, signed)
	if tags["d"] != submitter || tags["s"] != selector || tags["bh"] == "" {
		t.Fatalf("the signature has %q", tags)
	}
	if length, ok := tags["l"]; ok {
		t.Errorf("the signature has l=%s", length)
	}
	if _, ok := signatureTags(t, limited(signed))["l"]; !ok {
		t.Error("this test does not see an l= where there is one")
	}
}

// RPT-100, RPT-104, RPT-105, RPT-106: what a receiver of reports takes, and what it
// does not.
func TestVerify(t *testing.T) {
	key, record, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	message := unsigned(t)
	signed := func(m []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	good := signed(sign(message, submitter, selector, key))
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
		{"signed in part", limited(good), map[string]string{name: record}, "insecure body length tag"},
		{"another text", bytes.Replace(good, []byte("TLS report about"), []byte("No report about"), 1), map[string]string{name: record}, "body hash did not verify"},
		{"a key that nobody published", good, nil, "there is no " + name},
	} {
		_, err := verify(c.message, func(name string) ([]string, error) {
			if record, ok := c.dns[name]; ok {
				return []string{record}, nil
			}
			return nil, fmt.Errorf("there is no %s", name)
		})
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
