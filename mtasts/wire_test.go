package mtasts_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/strictmxtest"
)

// transport is the one that a Client has by default, led into the world. Where a
// host hangs on purpose, patience only costs time.
func transport(w *strictmxtest.World, patience time.Duration) *http.Transport {
	tr := mtasts.NewTransport(nil)
	tr.DialContext = (&resolver.Dialer{Resolver: patient(w), Timeout: 10 * time.Second, Dial: w.DialContext}).DialContext
	tr.TLSClientConfig.RootCAs = w.Roots()
	if patience > 0 {
		tr.ResponseHeaderTimeout, tr.TLSHandshakeTimeout = patience, patience
	}
	return tr
}

// patient is a resolver that a slow machine, which loses packets, does not stop.
func patient(w *strictmxtest.World) *resolver.Client {
	r := w.Resolver()
	r.Timeout, r.Attempts = 2*time.Second, 5
	return r
}

func newClient(t testing.TB, w *strictmxtest.World, patience time.Duration) *mtasts.Client {
	c := &mtasts.Client{Resolver: patient(w), Transport: transport(w, patience)}
	t.Cleanup(func() { c.Close() })
	return c
}

func lookup(t *testing.T, c *mtasts.Client, name string) mtasts.Result {
	t.Helper()
	r, err := c.Lookup(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func reasonOf(r mtasts.Result) string {
	if e, ok := errors.AsType[*mtasts.Error](r.Failure); ok {
		return string(e.Type) + " " + e.Reason
	}
	return ""
}

// What every fault of a policy host means, seen through real TLS and HTTP.
func TestEveryFaultOfAPolicyHost(t *testing.T) {
	fetch := "sts-policy-fetch-error "
	want := map[string]string{
		strictmxtest.Unreachable.String():                         fetch + "connection",
		strictmxtest.NotTLS.String():                              fetch + "tls-not-tls",
		strictmxtest.HangInHandshake.String():                     fetch + "timeout",
		strictmxtest.CloseInHandshake.String():                    fetch + "connection",
		strictmxtest.HangBeforeHeader.String():                    fetch + "timeout",
		strictmxtest.CloseBeforeHeader.String():                   fetch + "connection",
		strictmxtest.GarbageReply.String():                        fetch + "http-error",
		strictmxtest.SlowHeader.String():                          fetch + "timeout",
		strictmxtest.HugeHeader.String():                          fetch + "http-error",
		strictmxtest.HTMLType.String():                            fetch + "content-type", // STS-45
		strictmxtest.NoType.String():                              fetch + "content-type", // AMB-17
		strictmxtest.OddType.String():                             "",                     // STS-46
		strictmxtest.SlowBody.String():                            fetch + "timeout",      // STS-47
		strictmxtest.FullSize.String():                            "",                     // STS-48
		strictmxtest.Oversize.String():                            fetch + "too-large",    // STS-48, AMB-19
		strictmxtest.EndlessBody.String():                         fetch + "no-content-length",
		strictmxtest.ResetInBody.String():                         fetch + "connection", // RPT-41
		strictmxtest.ShortBody.String():                           fetch + "connection",
		strictmxtest.CutBody.String():                             fetch + "no-content-length",
		strictmxtest.Gzipped.String():                             fetch + "content-encoding",           // R31
		strictmxtest.GzipBomb.String():                            fetch + "content-encoding",           // STS-56
		strictmxtest.PolicyFault(strictmxtest.TLS11Only).String(): fetch + "tls-alert-protocol-version", // STS-57
	}
	for _, code := range []int{301, 302, 303, 307, 308} {
		want[strictmxtest.Redirect(code).String()] = fetch + "redirect" // STS-43
	}
	w := strictmxtest.New(t)
	for i, f := range strictmxtest.PolicyFaults() {
		t.Run(f.String(), func(t *testing.T) {
			if f == strictmxtest.SlowBody {
				t.Skip("takes half a minute; TestABodyThatDripsEnds has it in fake time")
			}
			var patience time.Duration
			switch f {
			case strictmxtest.HangInHandshake, strictmxtest.HangBeforeHeader, strictmxtest.SlowHeader:
				patience = 200 * time.Millisecond
			}
			c := newClient(t, w, patience)
			d := w.Domain(fmt.Sprintf("d%d.example", i)).Policy(strictmxtest.PolicyText("enforce", "mx.example.com")).Fault(f)
			r := lookup(t, c, d.Name())
			reason, ok := want[f.String()]
			if !ok {
				reason = fetch + strings.Replace(f.String(), "status ", "http-", 1) // STS-42
			}
			if got := reasonOf(r); got != reason || (r.Policy == nil) != (reason != "") {
				t.Errorf("got %q (%v), want %q", got, r.Failure, reason)
			}
			if d.Redirected() != 0 {
				t.Error("a redirect was followed")
			}
		})
	}
}

// RPT-43, STS-37, STS-38, STS-39, STS-40: the policy host's certificate.
func TestEveryCertificateOfAPolicyHost(t *testing.T) {
	want := map[strictmxtest.Certificate]string{
		strictmxtest.Good:                "",
		strictmxtest.Wildcard:            "",
		strictmxtest.TooMany:             "", // x509 is content with it
		strictmxtest.Expired:             "certificate-expired",
		strictmxtest.NotYetValid:         "not-yet-valid", // CERT-03
		strictmxtest.Misnamed:            "certificate-host-mismatch",
		strictmxtest.NoSAN:               "no-san", // CERT-05
		strictmxtest.IPSAN:               "no-san",
		strictmxtest.SelfSigned:          "self-signed",
		strictmxtest.UnknownCA:           "self-signed",
		strictmxtest.WrongEKU:            "wrong-usage",
		strictmxtest.NameConstrained:     "name-constraints",
		strictmxtest.MissingIntermediate: "unknown-authority",
		strictmxtest.ExpiredIntermediate: "chain-expired",
		strictmxtest.ExpiredMisnamed:     "certificate-expired",
		strictmxtest.PartialWildcard:     "certificate-host-mismatch",
	}
	w := strictmxtest.New(t)
	c := newClient(t, w, 0)
	for i, cert := range strictmxtest.Certificates() {
		t.Run(cert.String(), func(t *testing.T) {
			d := w.Domain(fmt.Sprintf("d%d.example", i)).Policy(strictmxtest.PolicyText("enforce", "mx.example.com")).Certificate(cert)
			r := lookup(t, c, d.Name())
			reason := want[cert]
			if reason != "" {
				reason = "sts-webpki-invalid " + reason
			}
			if got := reasonOf(r); got != reason || (r.Policy == nil) != (reason != "") {
				t.Errorf("got %q (%v), want %q", got, r.Failure, reason)
			}
			if reason != "" && len(d.Requests()) != 0 {
				t.Error("the request was sent all the same")
			}
		})
	}
}

// What every fault of DNS means for the record, with nothing known before.
func TestEveryFaultOfDNS(t *testing.T) {
	w := strictmxtest.New(t)
	for i, f := range strictmxtest.DNSFaults() {
		t.Run(f.String(), func(t *testing.T) {
			res := patient(w)
			switch f {
			case strictmxtest.NoAnswer, strictmxtest.WrongID, strictmxtest.WrongQuestion:
				res.Timeout, res.Attempts = 100*time.Millisecond, 1
			}
			c := &mtasts.Client{Resolver: res, Transport: transport(w, 0)}
			defer c.Close()
			d := w.Domain(fmt.Sprintf("d%d.example", i)).Policy(strictmxtest.PolicyText("enforce", "mx.example.com"))
			w.DNS.Fault("_mta-sts."+d.Name(), "TXT", f)
			want := mtasts.CauseIndeterminate // AMB-03
			switch f {
			case strictmxtest.NXDomain, strictmxtest.NoData, strictmxtest.Doubled, strictmxtest.Garbled:
				want = mtasts.CauseAbsent
			case strictmxtest.Truncated, strictmxtest.Spoofed, strictmxtest.CNAMEChain(1), strictmxtest.CNAMEChain(7):
				want = "" // STS-12
			}
			r := lookup(t, c, d.Name())
			if r.Cause() != want {
				t.Errorf("cause %q, want %q (%+v)", r.Cause(), want, r)
			}
			if want != "" && len(d.Requests()) != 0 {
				t.Error("a GET without one valid record") // STS-36
			}
		})
	}
}

// STS-11, STS-35, STS-41, STS-44, STS-55, STS-03, STS-07, STS-12, R31.
func TestTheRequest(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	w := strictmxtest.New(t)
	c := newClient(t, w, 0)
	d := w.Domain("b\u00fccher.example").Policy(strictmxtest.PolicyText("enforce", "mx.example.com")).
		Header("Cache-Control", "max-age=1").Header("ETag", `"x"`)
	w.DNS.Remove("_mta-sts.xn--bcher-kva.example")
	w.DNS.Set("_mta-sts.xn--bcher-kva.example. 300 IN CNAME _mta-sts.provider.example.", `_mta-sts.provider.example. 300 IN TXT "v=STSv1; i" "d=abc"`)
	r := lookup(t, c, "B\u00fccher.Example") // STS-05
	if r.Domain != "xn--bcher-kva.example" || r.ID != "abc" || r.Policy == nil || r.Policy.MaxAge != 7*24*time.Hour {
		t.Fatalf("%+v", r)
	}
	if err := c.Forget(t.Context(), r.Domain); err != nil {
		t.Fatal(err)
	}
	if again := lookup(t, c, r.Domain); !again.Fetched.After(r.Fetched) {
		t.Fatalf("%+v", again)
	}
	reqs := d.Requests()
	if len(reqs) != 2 {
		t.Fatalf("%d requests", len(reqs))
	}
	req := reqs[1] // with an ETag from the first, which is no reason to ask less
	if req.Method != "GET" || req.URI != "/.well-known/mta-sts.txt" || req.Host != "mta-sts.xn--bcher-kva.example" || req.Proto != "HTTP/1.1" ||
		req.TLS.ServerName != "mta-sts.xn--bcher-kva.example" {
		t.Errorf("%+v", req)
	}
	for _, name := range []string{"Cookie", "Authorization", "Referer", "If-None-Match", "If-Modified-Since"} {
		if v := req.Header.Get(name); v != "" {
			t.Errorf("%s: %s", name, v)
		}
	}
	for _, q := range w.DNS.Queries() {
		if q.Type == "TXT" && q.Name != "_mta-sts.xn--bcher-kva.example" {
			t.Errorf("asked for %s", q)
		}
	}
	if n := w.DNS.Count("_mta-sts.xn--bcher-kva.example", "TXT"); n != 2 {
		t.Errorf("%d queries: %v", n, w.DNS.Queries())
	}
	w.DNS.Set("alias.example. 300 IN CNAME xn--bcher-kva.example.")
	if r := lookup(t, c, "alias.example"); r.Policy != nil {
		t.Errorf("a policy through an alias of the domain: %+v", r) // STS-07
	}
	if r := lookup(t, c, "sub.xn--bcher-kva.example"); r.Policy != nil {
		t.Errorf("a policy of the parent: %+v", r) // STS-03
	}
}

// R10: a thousand domains at once open a bounded number of connections, and
// none stays open.
func TestDiscoveryOpensABoundedNumberOfConnections(t *testing.T) {
	w := strictmxtest.New(t)
	c := newClient(t, w, 0)
	for i := range 1000 {
		w.Domain(fmt.Sprintf("d%d.example", i)).Policy(strictmxtest.PolicyText("enforce", "mx.example.com"))
	}
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			r, err := c.Lookup(t.Context(), fmt.Sprintf("d%d.example", i))
			for errors.Is(err, mtasts.ErrBusy) { // a slow machine
				r, err = c.Lookup(t.Context(), fmt.Sprintf("d%d.example", i))
			}
			if err != nil || r.Policy == nil {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	wg.Wait()
	if n := w.PolicyHost.MaxOpen(); n > 64+8 { // a host hears of a close a little later
		t.Errorf("%d connections at once", n)
	}
	if n := w.PolicyHost.Connections(); n != 1000 {
		t.Errorf("%d connections for 1,000 policies", n)
	}
}

// R19, I14, STS-59: the default transport dials nothing on our own network,
// whatever the name says.
func TestTheDefaultTransportDialsPublicAddressesAlone(t *testing.T) {
	w := strictmxtest.New(t)
	d := w.Domain("evil.example").Policy(strictmxtest.PolicyText("enforce", "mx.example.com"))
	c := &mtasts.Client{Resolver: w.Resolver()}
	defer c.Close()
	r := lookup(t, c, d.Name())
	if got := reasonOf(r); got != "sts-policy-fetch-error non-public-address" {
		t.Errorf("%q (%v)", got, r.Failure)
	}
	if _, ok := errors.AsType[*resolver.NonPublicError](r.Failure); !ok {
		t.Errorf("%v does not hold the address", r.Failure)
	}
	if n := d.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
	w.Domain("nowhere.example").Policy(strictmxtest.PolicyText("enforce", "mx.example.com"))
	w.DNS.Remove("mta-sts.nowhere.example")
	if got := reasonOf(lookup(t, c, "nowhere.example")); got != "sts-policy-fetch-error no-address" {
		t.Errorf("%q", got)
	}
	w.DNS.Fault("mta-sts.silent.example", "*", strictmxtest.ServFail)
	w.Domain("silent.example").Policy(strictmxtest.PolicyText("enforce", "mx.example.com"))
	if got := reasonOf(lookup(t, c, "silent.example")); got != "sts-policy-fetch-error dns-failure" {
		t.Errorf("%q", got)
	}
}

// The caller may lift each limit of the transport.
func TestNewTransportCanBeChanged(t *testing.T) {
	w := strictmxtest.New(t)
	d := w.Domain("example.com").Policy(strictmxtest.PolicyText("testing", "mx.example.com"))
	tr := mtasts.NewTransport(w.Resolver())
	if tr.Proxy != nil || !tr.DisableKeepAlives || !tr.DisableCompression || tr.TLSClientConfig.MinVersion != tls.VersionTLS12 {
		t.Errorf("%+v", tr)
	}
	tr.DialContext = w.DialContext
	tr.TLSClientConfig.RootCAs = w.Roots() // STS-54
	c := &mtasts.Client{Resolver: w.Resolver(), Transport: tr}
	defer c.Close()
	if r := lookup(t, c, d.Name()); r.Cause() != mtasts.CauseTesting {
		t.Errorf("%+v", r)
	}
}

// STS-53: whoever checks revocation does so where TLS lets him, and is heard.
func TestARevokedPolicyHost(t *testing.T) {
	w := strictmxtest.New(t)
	d := w.Domain("example.com").Policy(strictmxtest.PolicyText("enforce", "mx.example.com"))
	tr := transport(w, 0)
	tr.TLSClientConfig.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.VerifiedChains) == 0 {
			t.Error("the chain is not verified yet")
		}
		return errors.New("revoked")
	}
	c := &mtasts.Client{Resolver: patient(w), Transport: tr}
	defer c.Close()
	r := lookup(t, c, d.Name())
	if r.Policy != nil || r.Cause() != mtasts.CauseFailed || len(d.Requests()) != 0 {
		t.Errorf("%+v", r)
	}
}

// BenchmarkDiscover finds the policies of 1,000 domains of which nothing is
// known, with real DNS, TLS and HTTP on loopback.
func BenchmarkDiscover(b *testing.B) {
	const domains = 1000
	w := strictmxtest.New(b)
	for i := range domains {
		w.Domain(fmt.Sprintf("d%d.example", i)).Policy(strictmxtest.PolicyText("enforce", "mx.example.com"))
	}
	b.ReportAllocs()
	for b.Loop() {
		c := &mtasts.Client{Resolver: w.Resolver(), Transport: w.Transport()}
		var wg sync.WaitGroup
		for i := range domains {
			wg.Go(func() {
				if r, err := c.Lookup(context.Background(), fmt.Sprintf("d%d.example", i)); err != nil || r.Policy == nil {
					b.Errorf("%+v, %v", r, err)
				}
			})
		}
		wg.Wait()
		c.Close()
	}
	b.ReportMetric(float64(b.N*domains)/b.Elapsed().Seconds(), "domains/s")
}
