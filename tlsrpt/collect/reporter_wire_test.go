package collect

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
)

// fixed is a DNS in which every domain has the same record, and every host is
// this machine.
type fixed struct {
	loopback
	txt string
}

func (f fixed) TXT(context.Context, string) (resolver.Answer[string], error) {
	return resolver.Answer[string]{Records: []string{f.txt}}, nil
}

// theOtherDay is in a day that is over, and lately enough to be reported.
func theOtherDay() time.Time { return time.Now().Add(-36 * time.Hour) }

// From events to a report that a stranger can read, by a POST over real TLS and
// by mail.
func TestReportsThatStrangersCanRead(t *testing.T) {
	posted, mailed := make(chan []byte, 1), make(chan Mail, 1)
	srv := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		posted <- body
	})
	dns := fixed{txt: "v=TLSRPTv1; rua=https://example.com/v1,mailto:tls@vendor.example"}
	tr := NewTransport(dns)
	tr.DialContext = (&resolver.Dialer{Resolver: dns, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String()) // for the port alone
	}}).DialContext
	tr.TLSClientConfig.RootCAs = x509.NewCertPool()
	tr.TLSClientConfig.RootCAs.AddCert(srv.Certificate())

	c := &Collector{Resolver: dns}
	e := session("a.example", enforce("a.example"))
	e.Time = theOtherDay()
	c.Observe(e)
	e.Outcomes[0].Failures = []tlsrpt.Failure{expired}
	c.Observe(e)
	r := &Reporter{Collector: c, Submitter: us, Resolver: dns, Transport: tr, Jitter: 1, Send: func(_ context.Context, m Mail) error {
		mailed <- m
		return nil
	}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()

	var body []byte
	var mail Mail
	for range 2 {
		select {
		case body = <-posted:
		case mail = <-mailed:
		case <-ctx.Done():
			t.Fatalf("nothing came in time: %+v, %+v", r.Stats(), c.Stats())
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v", err)
	}
	if mail.To != "tls@vendor.example" || mail.Domain != "a.example" {
		t.Errorf("mail to %q about %q", mail.To, mail.Domain)
	}
	for what, b := range map[string][]byte{"POST": body, "mail": mail.Message} {
		got, err := tlsrpt.ParseReport(bytes.NewReader(b))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		p := got.Policies[0]
		if got.ID != mail.Report.ID || p.Policy.Domain != "a.example" || p.Summary != (tlsrpt.Summary{Successful: 1, Failed: 1}) || len(p.Failures) != 1 || !got.Range.Start.Equal(tlsrpt.Day(e.Time).Start) {
			t.Errorf("%s: %+v", what, got)
		}
	}
	if rs := r.Stats(); rs.Delivered != (Count{1, 2}) || rs.Accepted != 2 {
		t.Errorf("stats %+v", rs)
	}
}

// R18, R19: without an option that says so, no report goes to our own network,
// whatever a record says.
func TestReporterReachesPublicAddressesAlone(t *testing.T) {
	dns := fixed{txt: "v=TLSRPTv1; rua=https://metadata.example/"}
	failed := make(chan error, 1)
	c := &Collector{Resolver: dns}
	e := session("a.example", enforce("a.example"))
	e.Time = theOtherDay()
	c.Observe(e)
	r := &Reporter{Collector: c, Submitter: us, Resolver: dns, Jitter: 1, Unverified: true, Trace: &Trace{
		Failed: func(_ Delivery, err error, _ time.Time) { failed <- err },
	}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	select {
	case err := <-failed:
		pe, _ := errors.AsType[*PostError](err)
		if ne, ok := errors.AsType[*resolver.NonPublicError](err); pe == nil || !ok || pe.Reason != tlsrpt.ReasonNonPublicAddress {
			t.Errorf("error %v, %v", err, ne)
		}
	case <-ctx.Done():
		t.Errorf("nothing was tried in time: %+v", r.Stats())
	}
	cancel()
	<-done
}

// RPT-119: two senders of one organisation report on the same domain and day,
// and their reports can be told apart.
func TestTwoNodes(t *testing.T) {
	var ids []string
	for _, node := range []string{"mx1", "mx2"} {
		bubble(t, func(t *testing.T, d *desk) {
			d.r.Submitter.Node = node
			d.publish("a.test", "https://a.test/")
			d.sessions(1, "a.test")
			defer d.run()()
			until("2000-01-02T05:00:00Z")
			for _, s := range d.got() {
				ids = append(ids, s.report.ID)
			}
		})
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 2 {
		t.Errorf("report ids %q", ids)
	}
}
