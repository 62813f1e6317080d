package collect

import (
	"reflect"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/tlsrpt"
)

// FuzzEntry: what is kept of a policy is clean, and cleaning it once more changes
// nothing; the policy that is shown is found again under the same entry, and no
// other policy is taken for it.
func FuzzEntry(f *testing.F) {
	f.Add("s", "example.com", "version: STSv1|mode: enforce|mx: *.example.com", "*.example.com", "example.com")
	f.Add("s", "example.com", "a\nb|\x00|\xff|\t", "mx\n|*.|*.a", "example.com")
	f.Add("t", "mx.example.com", "3 1 1 00", "", "example.com")
	f.Add("t", "mx.example", "", "", "mx.example.com")
	f.Add("n", "", "", "", "example.com")
	f.Fuzz(func(t *testing.T, letter, policyDomain, lines, mxes, domain string) {
		if (tlsrpt.Policy{Domain: domain}).Clean().Domain != domain || domain == "" {
			t.Skip()
		}
		p := &tlsrpt.Policy{Type: typeOf((letter + " ")[0]), Domain: policyDomain, Strings: split(lines), MXHosts: split(mxes)}
		e := newEntry(p, domain)
		shown := e.result(domain).Policy
		checkPolicy(t, shown)
		if again := newEntry(&shown, domain); again.policy != e.policy || !e.holds(&shown, domain) {
			t.Errorf("%q became %q", e.policy, again.policy)
		}
		if e.holds(p, domain) && !reflect.DeepEqual(*p, shown) {
			t.Errorf("%#v was taken for %#v", *p, shown)
		}
	})
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "|")
}

// The entry of one policy is not that of another, however alike they look when
// written one after the other.
func TestPoliciesAreNotTakenForOthers(t *testing.T) {
	policies := []*tlsrpt.Policy{
		{Type: tlsrpt.STS, Domain: "example.com"},
		{Type: tlsrpt.TLSA, Domain: "example.com"},
		{Type: tlsrpt.STS, Domain: "example.com.test"},
		{Type: tlsrpt.STS, Domain: "test"},
		{Type: tlsrpt.STS, Domain: "example.com", Strings: []string{"", "a"}},
		{Type: tlsrpt.STS, Domain: "example.com", Strings: []string{"a", ""}},
		{Type: tlsrpt.STS, Domain: "example.com", Strings: []string{"ab"}},
		{Type: tlsrpt.STS, Domain: "example.com", Strings: []string{"a", "b"}},
		{Type: tlsrpt.STS, Domain: "example.com", Strings: []string{"a\nb"}},
		{Type: tlsrpt.STS, Domain: "example.com", Strings: []string{"a"}, MXHosts: []string{"b"}},
		{Type: tlsrpt.STS, Domain: "example.com", Strings: []string{"a\x00b"}},
		{Type: tlsrpt.STS, Domain: "example.com", MXHosts: []string{"a", "b"}},
		{Type: tlsrpt.STS, Domain: "example.com", MXHosts: []string{"a"}},
	}
	for i, kept := range policies {
		e := newEntry(kept, "example.com")
		for j, p := range policies {
			clean := !strings.ContainsAny(strings.Join(kept.Strings, ""), "\n\x00")
			if got := e.holds(p, "example.com"); got != (i == j && clean) {
				t.Errorf("the entry of %+v holds %+v: %v", *kept, *p, got)
			}
		}
	}
}
