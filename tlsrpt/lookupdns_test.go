package tlsrpt_test

import (
	"strings"
	"testing"

	"github.com/strictmx/strictmx/strictmxtest"
	"github.com/strictmx/strictmx/tlsrpt"
)

// Lookup through a resolver that asks a name server.
func TestLookupThroughDNS(t *testing.T) {
	const rua = "mailto:tls@x.test https://r.test/v1"
	for _, c := range []struct{ name, records, rua string }{
		{"one string", `_smtp._tls.x.test. TXT "v=TLSRPTv1; rua=mailto:tls@x.test,https://r.test/v1"`, rua},
		{"strings are joined without a separator", `_smtp._tls.x.test. TXT "v=TLSR" "PTv1; rua=mailto:tls" "@x.test,https://r" ".test/v1"`, rua}, // RPT-06
		{"a blank between them is in one of them", `_smtp._tls.x.test. TXT "v=TLSRPTv1; rua=mailto:tls@x.test," " https://r.test/v1"`, rua},      // RPT-06
		{"an alias leads to the record", "_smtp._tls.x.test. CNAME rpt.vendor.test.\nrpt.vendor.test. TXT \"v=TLSRPTv1; rua=mailto:tls\" \"@x.test,https://r.test/v1\"", rua},
		{"one that leads nowhere does not", "_smtp._tls.x.test. CNAME rpt.vendor.test.", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := strictmxtest.New(t)
			w.DNS.Set(c.records)
			r, err := tlsrpt.Lookup(t.Context(), w.Resolver(), "x.test")
			if got := strings.Join(r.RUA, " "); err != nil || got != c.rua {
				t.Errorf("got %q, %v; want %q", got, err, c.rua)
			}
			if w.DNS.Count("_smtp._tls.x.test", "TXT") == 0 {
				t.Error("nobody asked for the record")
			}
		})
	}
}
