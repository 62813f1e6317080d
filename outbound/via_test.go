package outbound

import (
	"slices"
	"testing"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/resolver"
)

// STS-01, STS-02, AMB-47: all recipients go through the smart host at once, and
// its domain's policy alone decides; without one, each domain's own.
func TestSendMailViaASmartHost(t *testing.T) {
	for _, tt := range []struct {
		name string
		via  *Delivery
		want string // of each recipient
		asks []string
	}{
		{"whose MX records say where", &Delivery{Domain: "relay.test"}, "250 2.0.0 mx.example.com verified", []string{"relay.test"}},
		{"whose hosts are fixed", &Delivery{Domain: "relay.test", Hosts: []string{"mx.example.com:25"}}, "250 2.0.0 mx.example.com verified", []string{"relay.test"}},
		{"whose policy does not name the fixed host", &Delivery{Domain: "relay.test", Hosts: []string{"mx.other.test"}}, "451 4.7.5 mx.other.test", []string{"relay.test", "refresh relay.test", "relay.test"}},
		{"without one", nil, "451 4.7.5 mx.example.com", []string{"example.com", "example.net", "refresh example.com", "refresh example.net"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forbidding := policy("example.com", mtasts.ModeEnforce, "mx.nowhere.test")
			w := newWorld(t, forbidding)
			for _, known := range []map[string]mtasts.Result{w.policies.known, w.policies.refreshed} {
				known["example.net"] = forbidding
				known["relay.test"] = policy("relay.test", mtasts.ModeEnforce, "mx.example.com")
			}
			for _, domain := range []string{"relay.test", "example.com", "example.net"} {
				w.publish(domain, resolver.MX{Preference: 10, Host: "mx.example.com"})
			}
			s := w.host("mx.example.com", "8.8.4.1")
			env := letter("b@example.com", "c@example.net", "none")
			env.Via = tt.via
			got := w.SendMail(t.Context(), env, hello)
			for i, prefix := range []string{"b@example.com ", "c@example.net "} {
				want := prefix + tt.want
				if tt.want[0] == '4' {
					want = "~ " + want
				}
				if show(got[i]) != want {
					t.Errorf("receipt %q, want %q: %v", show(got[i]), want, got[i].Err)
				}
				if domain := tt.asks[0]; tt.via != nil && (got[i].Policy.Domain != domain || got[i].Domain == domain) {
					t.Errorf("domain %s, policy of %s", got[i].Domain, got[i].Policy.Domain)
				}
			}
			if show(got[2]) != "! none 553 5.1.3" {
				t.Errorf("receipt %q", show(got[2]))
			}
			if tt.want[0] == '2' && (len(s.got()) != 1 || len(s.heard("RCPT")) != 2) {
				t.Errorf("%d messages, %q", len(s.got()), s.heard("RCPT"))
			}
			_, sts := w.asked()
			slices.Sort(sts)
			asks := slices.Sorted(slices.Values(tt.asks))
			if !slices.Equal(slices.Compact(sts), slices.Compact(asks)) {
				t.Errorf("asked for the policies of %q, want %q", sts, asks)
			}
		})
	}
}

// A smart host that cannot be found is a mistake of the operator's, for which no
// mail is returned.
func TestMailWaitsForASmartHost(t *testing.T) {
	w := newWorld(t, none)
	w.mx["gone.test"] = resolver.Answer[resolver.MX]{NXDomain: true, Secure: true}
	w.publish("null.test", mx(0, ""))
	for _, via := range []Delivery{
		{}, {Domain: "no name"}, {Domain: "gone.test"}, {Domain: "null.test"}, {Domain: "relay.test", Hosts: []string{}}, {Domain: "relay.test", Hosts: []string{"gone.test"}},
	} {
		env := letter("b@example.com")
		env.Via = &via
		if r := w.SendMail(t.Context(), env, hello)[0]; !r.Temporary() || r.EnhancedCode[0] != 4 {
			t.Errorf("%+v: receipt %q: %v", via, show(r), r.Err)
		}
	}
}
