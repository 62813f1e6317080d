package mtasts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Attacks that worked once.

// bigText is an enforce policy of nearly 64 KiB.
func bigText(maxAge time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: STSv1\nmode: enforce\nmax_age: %d\n", int(maxAge/time.Second))
	for i := range 1000 {
		fmt.Fprintf(&b, "mx:%s%04d.example\n", strings.Repeat("a", 46), i)
	}
	return b.String()
}

// R11, I16: a few owners whose policies grow once they are protected.
func TestLargePoliciesOfOneOwnerEvictNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{Resolver: newWorld(), Transport: newWorld(), Capacity: 2000}
		defer c.Close()
		c.open()
		owners := []string{"v%d.example", "j%d.evil.example", "j%d.evil2.example"}
		fill(t, c, 200, owners[0], ModeEnforce)
		fill(t, c, 10, owners[1], ModeEnforce)
		fill(t, c, 10, owners[2], ModeEnforce)
		for range 2 {
			for i := range 200 {
				for _, format := range owners {
					c.known(fmt.Sprintf(format, i))
				}
			}
			time.Sleep(day)
		}
		for i := range 10 {
			for _, format := range owners[1:] {
				install(t, c, fmt.Sprintf(format, i), "2", bigText(365*day), c.clock.now())
			}
			time.Sleep(time.Millisecond)
		}
		if n := held4(c, 200, owners[0]); n != 200 {
			t.Errorf("%d of 200 protected policies are left, %d lost", n, c.Stats().Lost)
		}
	})
}

// R11, I15: what is remembered of a failure is small, whatever was sent.
func TestAFailureKeepsLittle(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	tr := NewTransport(nil)
	tr.TLSClientConfig.RootCAs = x509.NewCertPool()
	tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}
	w := newWorld()
	w.publish("evil.example", "1", "")
	c := &Client{Resolver: w, Transport: tr}
	defer c.Close()
	r, err := c.Lookup(t.Context(), "evil.example")
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, r, "sts-webpki-invalid/certificate-host-mismatch")
	if _, ok := errors.AsType[*tls.CertificateVerificationError](r.Failure); ok {
		t.Error("the certificates are kept")
	}
	if _, ok := errors.AsType[x509.HostnameError](r.Failure); ok {
		t.Error("the certificate is kept")
	}

	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("evil.example", "1", strings.Repeat("\n", 60000))
		e, _ := errors.AsType[*Error](lookup(t, c, "evil.example").Failure)
		if e == nil || len(e.Lines) > maxInvalidLines {
			t.Errorf("%+v", e)
		}
	})
}

// slowBody comes after 29 seconds, whole.
type slowBody struct {
	io.Reader
	ctx  context.Context
	done bool
}

func (s *slowBody) Close() error { return nil }

func (s *slowBody) Read(p []byte) (int, error) {
	if !s.done {
		s.done = true
		select {
		case <-time.After(29 * time.Second):
		case <-s.ctx.Done():
			return 0, s.ctx.Err()
		}
	}
	return s.Reader.Read(p)
}

// R1, I4: an owner of many policies that are always due, and slow, does not
// keep Run from the others.
func TestOneOwnerDoesNotStarveRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := &Client{Resolver: w, Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
			r, err := w.RoundTrip(req)
			if err == nil && strings.HasSuffix(req.URL.Host, ".evil.example") {
				r.Body = &slowBody{Reader: r.Body, ctx: req.Context()}
			}
			return r, err
		})}
		defer c.Close()
		c.open()
		w.publish("victim.example", "1", text(ModeEnforce, day, "mx.example.com"))
		install(t, c, "victim.example", "1", text(ModeEnforce, day, "mx.example.com"), c.clock.now())
		for i := range 300 {
			name := fmt.Sprintf("j%d.evil.example", i)
			w.publish(name, "1", text(ModeEnforce, 6*time.Hour, "mx.example.com"))
			install(t, c, name, "1", text(ModeEnforce, 6*time.Hour, "mx.example.com"), c.clock.now())
			c.memory.shard(name).policies[name].days = 2 // used more than the victim
			time.Sleep(7 * time.Second)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go c.Run(ctx)
		for range 30 {
			time.Sleep(time.Hour)
			if h, _ := c.snapshot("victim.example"); !h.fresh(c.clock.now()) {
				t.Fatal("expired")
			}
		}
	})
}

// I4, R1: Run does not spend the last GETs of the budget at once.
func TestRunSpreadsTheLastTries(t *testing.T) {
	running(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, time.Hour, "mx.example.com"))
		r := lookup(t, c, "example.com")
		w.set("example.com", func(d *domain) { d.httpErr = errDown })
		time.Sleep(time.Until(r.Expires) - 100*time.Second)
		w.set("example.com", func(d *domain) { d.httpErr = nil })
		time.Sleep(99 * time.Second)
		if h, _ := c.snapshot("example.com"); h.fetched == 0 {
			t.Error("not renewed, though every GET in the last 100 seconds would have done it")
		}
	})
}

// R29, I6: a max_age of nothing is no way around the confirmation.
func TestConfirmWeakerSeesAShortLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := &Client{Resolver: w, Transport: w, ConfirmWeaker: true}
		defer c.Close()
		w.publish("example.com", "1", text(ModeEnforce, 30*day, "mx.example.com"))
		lookup(t, c, "example.com")
		for i, served := range []string{text(ModeEnforce, 0, "mx.example.com"), text(ModeNone, day)} {
			w.publish("example.com", fmt.Sprint(i+2), served)
			time.Sleep(2 * time.Minute)
			lookup(t, c, "example.com")
			time.Sleep(10 * time.Second)
			wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		}
	})
}

// I2, I12: mail to a domain whose policy memory has no room for flows all the same.
func TestWhatIsNotKeptHoldsNoMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := &Client{Resolver: w, Transport: w, Capacity: 1000}
		defer c.Close()
		c.open()
		fill(t, c, 16, "v%d.shared.example", ModeEnforce)
		for range 2 {
			for i := range 16 {
				c.known(fmt.Sprintf("v%d.shared.example", i))
			}
			time.Sleep(day)
		}
		w.publish("x.shared.example", "1", text(ModeTesting, 7*day, "mx.example.com"))
		for range 1000 {
			wantMode(t, lookup(t, c, "x.shared.example"), ModeTesting)
			time.Sleep(time.Second)
		}
		if _, got := w.counts("x.shared.example"); got > 3+4 {
			t.Errorf("%d GETs", got)
		}
	})
}

// Policies that Run never renews do not make it look through all of them.
func TestShortPoliciesDoNotWakeRun(t *testing.T) {
	running(t, func(t *testing.T, w *world, c *Client) {
		time.Sleep(time.Minute)
		lookup(t, c, "absent.example")
		next := c.runNext.Load()
		for i := range 100 {
			name := fmt.Sprintf("j%d.example", i)
			w.publish(name, "1", text(ModeEnforce, 0, "mx.example.com"))
			lookup(t, c, name)
			time.Sleep(time.Millisecond)
			if c.runNext.Load() != next {
				t.Fatal("Run looked through memory")
			}
		}
		scans := 0
		for i := range 100 { // and those it does, not each on its own
			install(t, c, fmt.Sprintf("l%d.example", i), "1", text(ModeEnforce, 2*time.Hour+time.Duration(100-i)*time.Minute, "mx.example.com"), c.clock.now())
			time.Sleep(100 * time.Millisecond)
			if now := c.runNext.Load(); now != next {
				next, scans = now, scans+1
			}
		}
		if scans > 2 {
			t.Errorf("%d scans in ten seconds", scans)
		}
	})
}

// R11, I15: answers that are ready to hand out hold on to no large policy.
func TestHotAnswersAreSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{Resolver: newWorld(), Transport: newWorld(), Capacity: 1000}
		defer c.Close()
		c.open()
		for i := range 50 {
			name := fmt.Sprintf("j%d.example", i)
			install(t, c, name, "1", bigText(365*day), c.clock.now())
			c.known(name)
		}
		for i := range c.hot.sets {
			for j := range c.hot.sets[i] {
				if a := c.hot.sets[i][j].Load(); a != nil {
					t.Fatalf("holds on to the policy of %s", a.name)
				}
			}
		}
	})
}

// What DNS said last counts, also where the policy is over.
func TestAnAbsenceCountsAfterExpiry(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 10*time.Minute, "mx.example.com"))
		w.set("example.com", func(d *domain) { d.ttl = time.Hour })
		lookup(t, c, "example.com")
		time.Sleep(11 * time.Minute)
		w.set("example.com", func(d *domain) { *d = domain{status: 404, ttl: time.Minute} })
		refresh(t, c, "example.com")
		asked, _ := w.counts("example.com")
		time.Sleep(6 * time.Minute)
		r := lookup(t, c, "example.com")
		if again, got := w.counts("example.com"); again == asked || got != 0 || r.Failure != nil {
			t.Errorf("%d queries and %d GETs more, %+v", again-asked, got, r)
		}
	})
}
