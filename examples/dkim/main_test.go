package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"mx.example.com, whose certificate expired, took the report for tls-reports@example.com\n",
		"the signature of example.org is valid, and covers From, To,", "TLS-Report-Domain, TLS-Report-Submitter",
		"the mail holds the file example.org!example.com!", "\nTLS report about example.com\n",
		"11 sessions failed, 1,989 succeeded", "\nthe same mail, forged: dkim: signature did not verify",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
