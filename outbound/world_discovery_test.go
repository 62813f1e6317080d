package outbound

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/strictmxtest"
	"github.com/strictmx/strictmx/tlsrpt"
)

// discovery is one thing that goes wrong on the way to a policy.
type discovery struct {
	name string
	// spoil makes it go wrong for a domain.
	spoil func(*strictmxtest.World, *strictmxtest.Domain)
	// told is what the event says of it where it spoils discovery; "" where a
	// right client gets along with it.
	told tlsrpt.ResultType
	// txt: DNS says nothing of a record, or nothing at all, so that a domain of
	// which nothing is known looks as though it had no policy.
	txt bool
	// hangs: it is only over when the client gives up.
	hangs bool
}

func discoveries() []discovery {
	var all []discovery
	for _, f := range strictmxtest.PolicyFaults() {
		d := discovery{
			name:  "policy host: " + f.String(),
			spoil: func(_ *strictmxtest.World, d *strictmxtest.Domain) { d.Fault(f) },
			told:  tlsrpt.STSPolicyFetchError,
		}
		switch f {
		case strictmxtest.OddType, strictmxtest.FullSize:
			d.told = ""
		case strictmxtest.HangInHandshake, strictmxtest.HangBeforeHeader, strictmxtest.SlowHeader:
			d.hangs = true
		case strictmxtest.SlowBody:
			continue // takes half a minute; mtasts has it in fake time
		}
		all = append(all, d)
	}
	for _, c := range strictmxtest.Certificates() {
		d := discovery{
			name:  "policy host's certificate: " + c.String(),
			spoil: func(_ *strictmxtest.World, d *strictmxtest.Domain) { d.Certificate(c) },
			told:  tlsrpt.STSWebPKIInvalid,
		}
		switch c {
		case strictmxtest.Good, strictmxtest.Wildcard, strictmxtest.TooMany:
			d.told = ""
		}
		all = append(all, d)
	}
	for _, f := range strictmxtest.DNSFaults() {
		d := discovery{
			name:  "record: " + f.String(),
			spoil: func(w *strictmxtest.World, d *strictmxtest.Domain) { w.DNS.Fault("_mta-sts."+d.Name(), "TXT", f) },
			told:  tlsrpt.STSPolicyFetchError,
			txt:   true,
		}
		switch f {
		case strictmxtest.Truncated, strictmxtest.Spoofed, strictmxtest.CNAMEChain(1), strictmxtest.CNAMEChain(7):
			d.told = ""
		case strictmxtest.NoAnswer, strictmxtest.WrongID, strictmxtest.WrongQuestion:
			d.hangs = true
		}
		all = append(all, d)
	}
	return append(all, discovery{
		name: "a text that is no policy",
		spoil: func(_ *strictmxtest.World, d *strictmxtest.Domain) {
			d.PolicyText("version: STSv1\nmode: enforced\nmax_age: 86400\n")
		},
		told: tlsrpt.STSPolicyInvalid,
	})
}

// Every fault of DNS and of a policy host, through the whole of a delivery in
// each mode: with nothing known the mail goes out as though there were no policy
// and the domain hears why (RFC 8461, sections 3.3 and 6; AMB-32, RPT-41 to RPT-43, RPT-45); and a policy that is
// held goes on to hold: a stranger's host gets nothing under enforce, and in the
// other modes what it gets without (STS-52, STS-88, STS-89, STS-130 to STS-132).
func TestWorldOfDiscovery(t *testing.T) {
	w := strictmxtest.New(t)
	host, stranger := w.MX("mx.example.com"), w.MX("mx.attacker.example")
	domains := 0
	for _, mode := range []string{"enforce", "testing", "none"} {
		for _, fault := range discoveries() {
			t.Run(mode+"/"+fault.name, func(t *testing.T) {
				domains++
				var known [2]*strictmxtest.Domain
				for i, when := range []string{"unknown", "held"} {
					known[i] = w.Domain(fmt.Sprintf("%s%d.example", when, domains)).MX(host.Name()).Policy(strictmxtest.PolicyText(mode, host.Name()))
				}
				seen := &events{}
				dialer, client := discoverer(t, w, seen, fault.hangs)
				held := known[1].Name()
				if r, err := client.Lookup(t.Context(), held); err != nil || r.Policy == nil {
					t.Fatal(r, err)
				}
				for _, d := range known {
					d.PolicyID(fmt.Sprintf("new%d", domains))
					fault.spoil(w, d)
				}
				if _, err := client.Refresh(t.Context(), held); err != nil {
					t.Fatal(err)
				}
				for _, d := range known {
					if r := dialer.SendMail(t.Context(), letter("b@"+d.Name()), hello)[0]; r.Err != nil || r.Level != Verified || r.Host != host.Name() {
						t.Errorf("%s: %s, %v", d.Name(), show(r), r.Err)
					}
					all := seen.list()
					event := all[len(all)-1]
					want := fault.told
					switch {
					case d == known[0] && fault.txt, mode == "none" && (d == known[1] || want == ""):
						want = ""
					}
					checkDiscovery(t, event, want)
				}
				before := len(stranger.Messages())
				known[1].MX(stranger.Name())
				r := dialer.SendMail(t.Context(), letter("b@"+held), hello)[0]
				sent := len(stranger.Messages()) - before
				if mode == "enforce" && (sent > 0 || r.Err == nil || !r.Temporary()) || mode != "enforce" && (sent != 1 || r.Err != nil) {
					t.Errorf("a stranger's host got %d messages: %s, %v", sent, show(r), r.Err)
				}
			})
		}
	}
}

// discoverer is a Dialer whose Client fetches policies as it does by default,
// but from the world, and gives up on what hangs at once.
func discoverer(t *testing.T, w *strictmxtest.World, seen *events, hangs bool) (*Dialer, *mtasts.Client) {
	patient := w.Resolver()
	patient.Timeout, patient.Attempts = 2*time.Second, 5
	tr := mtasts.NewTransport(nil)
	tr.DialContext = (&resolver.Dialer{Resolver: patient, Dial: w.DialContext}).DialContext
	tr.TLSClientConfig.RootCAs = w.Roots()
	txt := w.Resolver()
	txt.Timeout, txt.Attempts = patient.Timeout, patient.Attempts
	if hangs {
		tr.TLSHandshakeTimeout, tr.ResponseHeaderTimeout = 300*time.Millisecond, 300*time.Millisecond
		txt.Timeout, txt.Attempts = 100*time.Millisecond, 2
	}
	client := &mtasts.Client{Resolver: txt, Transport: tr}
	t.Cleanup(func() { client.Close() })
	return &Dialer{
		Enforcer: &Enforcer{MTASTS: client, TLSConfig: &tls.Config{RootCAs: w.Roots()}, LocalName: "out.sender.test", Observer: seen},
		Resolver: patient, DialContext: w.DialContext,
	}, client
}

// checkDiscovery wants one outcome that says what went wrong, and nothing else.
func checkDiscovery(t *testing.T, e tlsrpt.Event, want tlsrpt.ResultType) {
	t.Helper()
	if len(e.Outcomes) != 1 {
		t.Fatalf("told %s", tell(e))
	}
	o := e.Outcomes[0]
	switch {
	case want == "" && len(o.Failures) != 0,
		want != "" && (len(o.Failures) != 1 || o.Failures[0].Type != want || o.Failures[0].Reason == "" || o.Policy.Type != tlsrpt.STS):
		t.Errorf("%s: told %s, want %q", e.Domain, tell(e), want)
	}
}

// The faults of DNS on the way to the hosts: what is not known is temporary, and
// a denial is for good only where no enforce policy doubts it (SMTP-01, SMTP-03, R12).
func TestWorldOfRoutes(t *testing.T) {
	w := strictmxtest.New(t)
	host := w.MX("mx.example.com")
	domains := 0
	for _, mode := range []string{"enforce", "testing", "none"} {
		for _, f := range strictmxtest.DNSFaults() {
			for _, name := range []string{"MX", "A"} {
				t.Run(mode+"/"+name+"/"+f.String(), func(t *testing.T) {
					domains++
					d := w.Domain(fmt.Sprintf("d%d.example", domains)).MX(host.Name()).Policy(strictmxtest.PolicyText(mode, host.Name()))
					at := d.Name()
					if name == "A" {
						at = host.Name()
					}
					seen := &events{}
					dialer, client := discoverer(t, w, seen, false)
					if _, err := client.Lookup(t.Context(), d.Name()); err != nil {
						t.Fatal(err)
					}
					quick := w.Resolver()
					switch f {
					case strictmxtest.NoAnswer, strictmxtest.WrongID, strictmxtest.WrongQuestion:
						quick.Timeout = 100 * time.Millisecond
					default:
						quick.Timeout, quick.Attempts = 2*time.Second, 5
					}
					dialer.Resolver = quick
					w.DNS.Fault(at, name, f)
					if name == "A" {
						w.DNS.Fault(at, "AAAA", f)
					}
					defer w.DNS.Fault(at, name, strictmxtest.None)
					defer w.DNS.Fault(at, "AAAA", strictmxtest.None)
					before := len(host.Messages())
					r := dialer.SendMail(t.Context(), letter("b@"+d.Name()), hello)[0]
					sent := len(host.Messages()) - before
					works, denied := false, false
					switch f {
					case strictmxtest.Truncated, strictmxtest.Spoofed, strictmxtest.CNAMEChain(1), strictmxtest.CNAMEChain(7), strictmxtest.Doubled:
						works = true
					case strictmxtest.NXDomain, strictmxtest.NoData:
						denied = true
					}
					switch {
					case works != (r.Err == nil) || works != (sent == 1):
						t.Errorf("%s, %d sent: %v", show(r), sent, r.Err)
					case !works && r.Temporary() != (!denied || mode == "enforce"):
						t.Errorf("%s: %v", show(r), r.Err)
					}
				})
			}
		}
	}
}
