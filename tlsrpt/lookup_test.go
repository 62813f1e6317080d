package tlsrpt

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/resolver"
)

// zone is a Resolver that knows some names, and notes which it was asked for. What
// it does not know has no records.
type zone struct {
	txt   map[string][]string
	err   error
	asked []string
}

func (z *zone) TXT(_ context.Context, name string) (resolver.Answer[string], error) {
	z.asked = append(z.asked, name)
	return resolver.Answer[string]{Records: z.txt[name], NXDomain: len(z.txt[name]) == 0}, z.err
}

func TestLookup(t *testing.T) {
	const record = "v=TLSRPTv1; rua=mailto:a@x.test"
	domain242 := strings.Repeat("d", 63) + "." + strings.Repeat("d", 63) + "." + strings.Repeat("d", 63) + "." + strings.Repeat("d", 45) + ".test"
	for _, c := range []struct {
		name, domain string
		txt          []string // at the name that is asked
		asked        string   // "": nobody is
		rua          string
		reason       string
	}{
		{"the record is at _smtp._tls", "x.test", []string{record}, "_smtp._tls.x.test", "mailto:a@x.test", ""},                                                     // RPT-01
		{"the domain is in A-labels", "B\u00fccher.test.", []string{record}, "_smtp._tls.xn--bcher-kva.test", "mailto:a@x.test", ""},                                // RPT-01
		{"a smart host has its own", "relay.test", []string{record}, "_smtp._tls.relay.test", "mailto:a@x.test", ""},                                                // RPT-02
		{"no parent counts", "sub.x.test", nil, "_smtp._tls.sub.x.test", "", "tlsrpt-missing"},                                                                      // RPT-03
		{"two records are none", "x.test", []string{record, record}, "_smtp._tls.x.test", "", "tlsrpt-multiple"},                                                    // RPT-05
		{"others do not count", "x.test", []string{"v=spf1 -all", record}, "_smtp._tls.x.test", "mailto:a@x.test", ""},                                              // RPT-05
		{"nor do other versions", "x.test", []string{"v=TLSRPTv2;rua=x", record}, "_smtp._tls.x.test", "mailto:a@x.test", ""},                                       // RPT-05
		{"others alone are none", "x.test", []string{"v=spf1 -all"}, "_smtp._tls.x.test", "", "tlsrpt-missing"},                                                     // RPT-05
		{"alone, it may have a blank after its version", "x.test", []string{"v=TLSRPTv1 ;rua=mailto:a@x.test"}, "_smtp._tls.x.test", "mailto:a@x.test", ""},         // AMB-01
		{"among others, it may not", "x.test", []string{"v=TLSRPTv1 ;rua=mailto:a@x.test", "v=spf1"}, "_smtp._tls.x.test", "", "tlsrpt-missing"},                    // AMB-01
		{"and does not stand in the way of one without", "x.test", []string{"v=TLSRPTv1 ;rua=mailto:b@x.test", record}, "_smtp._tls.x.test", "mailto:a@x.test", ""}, // AMB-01
		{"a malformed one counts as a record", "x.test", []string{"v=TLSRPTv1;", record}, "_smtp._tls.x.test", "", "tlsrpt-multiple"},                               // RPT-05
		{"and is none", "x.test", []string{"v=TLSRPTv1; bad"}, "_smtp._tls.x.test", "", "tlsrpt-invalid"},
		{"nor is one without rua", "x.test", []string{"v=TLSRPTv1;"}, "_smtp._tls.x.test", "", "missing-rua"},
		{"one bad URI is not all", "x.test", []string{record + ",ftp://x.test"}, "_smtp._tls.x.test", "mailto:a@x.test", "uri-scheme"},
		{"an address literal has no record", "[192.0.2.1]", nil, "", "", "tlsrpt-missing"},
		{"nor has an IP address", "192.0.2.1", nil, "", "", "tlsrpt-missing"},
		{"nor has an IPv6 address", "2001:db8::1", nil, "", "", "tlsrpt-missing"},
		{"nor has what is no name", "a..b\x1b", nil, "", "", "tlsrpt-missing"},
		{"nor has the empty name", "", nil, "", "", "tlsrpt-missing"},
		{"a domain of 242 octets leaves room", domain242, []string{record}, "_smtp._tls." + domain242, "mailto:a@x.test", ""},
		{"one of 243 does not", "d" + domain242, nil, "", "", "tlsrpt-missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			z := &zone{txt: map[string][]string{c.asked: c.txt, "_smtp._tls.x.test": {record}}}
			if c.txt != nil {
				z.txt[c.asked] = c.txt
			}
			r, err := Lookup(t.Context(), z, c.domain)
			if err != nil || strings.Join(r.RUA, " ") != c.rua || reasonsOf(r) != c.reason {
				t.Errorf("Lookup(%q) = %q, %q, %v; want %q, %q", c.domain, r.RUA, reasonsOf(r), err, c.rua, c.reason)
			}
			if got := strings.Join(z.asked, " "); got != c.asked {
				t.Errorf("asked for %q, want %q", got, c.asked)
			}
			for _, p := range r.Problems {
				if !isClean(p.Text) || len(p.Text) > 128 {
					t.Errorf("problem %q", p)
				}
			}
		})
	}
}

// That DNS does not answer is no word about the record.
func TestLookupThatFailsIsAnError(t *testing.T) { // RPT-23
	cause := errors.New("\x1b[31mhostile\n" + strings.Repeat("x", 1000))
	r, err := Lookup(t.Context(), &zone{err: cause}, "x.test")
	if !errors.Is(err, cause) || r.RUA != nil || r.Problems != nil {
		t.Errorf("got %v, %v", r, err)
	}
	if msg := err.Error(); !isClean(msg) || len(msg) > 512 || !strings.Contains(msg, "x.test") { // R16
		t.Errorf("%q", msg)
	}
}

// Without a Resolver the machine's own servers are asked, which nobody can do
// whose time is over.
func TestLookupWithoutResolver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Lookup(ctx, nil, "x.test"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context ended", err)
	}
	if r, err := Lookup(ctx, nil, "192.0.2.1"); err != nil || !slices.Equal(r.Problems, []Problem{{"192.0.2.1", ReasonTLSRPTMissing}}) {
		t.Errorf("got %v, %v", r, err)
	}
}
