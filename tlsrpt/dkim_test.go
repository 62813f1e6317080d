package tlsrpt

import (
	"slices"
	"strings"
	"testing"
)

// RPT-106
func TestCheckDKIMKey(t *testing.T) {
	for record, want := range map[string]string{
		"v=DKIM1; k=rsa; p=AAAA":                 "",
		"p=AAAA":                                 "",
		"v=DKIM1; s=tlsrpt; p=AAAA":              "",
		"v=DKIM1; s=*; p=AAAA;":                  "",
		"v=DKIM1;s=email:tlsrpt;p=AAAA":          "",
		"v = DKIM1 ; s = email : tlsrpt ; p = A": "",
		"v=DKIM1; s=email; p=AAAA":               "DKIM key record: s=email does not allow reports: write s=email:tlsrpt, or leave s= out",
		"v=DKIM1; s=; p=AAAA":                    "DKIM key record: s= does not allow reports: write s=tlsrpt, or leave s= out",
		"v=DKIM1; s=TLSRPT; p=AAAA":              "DKIM key record: s=TLSRPT does not allow reports: write s=TLSRPT:tlsrpt, or leave s= out",
		"v=DKIM1; s=nottlsrpt; p=AAAA":           "DKIM key record: s=nottlsrpt does not allow reports: write s=nottlsrpt:tlsrpt, or leave s= out",
		"v=DKIM1; s=\x1b\n; p=AAAA":              "DKIM key record: s=? does not allow reports: write s=?:tlsrpt, or leave s= out",
		"v=DKIM2; p=AAAA":                        "DKIM key record: the version is not v=DKIM1",
		"v=DKIM1; s=tlsrpt":                      "DKIM key record: there is no p=, which holds the key",
		"":                                       "DKIM key record: there is no p=, which holds the key",
		"v=DKIM1; p=":                            "DKIM key record: p= is empty, so the key is revoked: publish the key that signs",
		"v=DKIM1; s=tlsrpt; s=email; p=AAAA":     "DKIM tags:  s=email is no name=value, or is there twice",
		"v=DKIM1; p":                             "DKIM tags:  p is no name=value, or is there twice",
	} {
		got := ""
		if err := CheckDKIMKey(record); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", record, got, want)
		}
	}
}

// RPT-100
func TestSignedHeaders(t *testing.T) {
	got := SignedHeaders()
	for _, name := range []string{"From", "TLS-Report-Domain", "TLS-Report-Submitter"} {
		if !slices.Contains(got, name) {
			t.Errorf("%s would not be signed", name)
		}
	}
	got[0] = "changed"
	if strings.Join(SignedHeaders(), ":") == strings.Join(got, ":") {
		t.Error("the list is shared with others")
	}
}
