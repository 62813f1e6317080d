package mtasts

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/resolver"
)

// apart runs f with a Client whose memory has no room for x.example.com, of which
// the Store holds a policy: its parent has its share, all in use.
func apart(t *testing.T, f func(t *testing.T, w *world, m *memStore, c *Client)) {
	t.Helper()
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		c := start()
		c.Capacity = 1024
		for i := range minParentShare {
			name := fmt.Sprintf("d%d.example.com", i)
			m.keep(name, "1", text(ModeEnforce, 7*day, "mx.example.com"), time.Now().Add(-time.Hour)) // yesterday
			lookup(t, c, name)
		}
		m.keep("x.example.com", "1", text(ModeEnforce, 365*day, "old.example.com"), time.Now().Add(-time.Hour))
		f(t, w, m, c)
		if _, in := c.snapshot("x.example.com"); in {
			t.Error("memory had room for it")
		}
	})
}

// I1: a forged denial does no more to a policy that memory has no room for than
// to one that it holds.
func TestADenialBesideAPolicyApart(t *testing.T) {
	apart(t, func(t *testing.T, w *world, m *memStore, c *Client) {
		for range 3 {
			wantMode(t, lookup(t, c, "x.example.com"), ModeEnforce)
			time.Sleep(time.Second)
			r, err := c.Refresh(t.Context(), "x.example.com")
			if err != nil {
				t.Fatal(err)
			}
			wantMode(t, r, ModeEnforce)
			wantMode(t, lookup(t, c, "x.example.com"), ModeEnforce)
			time.Sleep(10 * time.Minute)
		}
	})
}

// A reading is not kept where memory did not keep the policy: who comes a moment
// later finds it, too.
func TestEveryReadingFindsAPolicyApart(t *testing.T) {
	apart(t, func(t *testing.T, w *world, m *memStore, c *Client) {
		began := c.clock.now()
		for range 2 {
			r, err := c.recall(t.Context(), "x.example.com", began)
			if err != nil || r.apart == nil || !c.unread("x.example.com") {
				t.Errorf("%+v, %v", r, err)
			}
		}
	})
}

// gated makes DNS wait for a name until it is let go.
type gated struct {
	*world
	name string
	open chan struct{}
}

func (g *gated) TXT(ctx context.Context, name string) (resolver.Answer[string], error) {
	if g.open != nil && name == "_mta-sts."+g.name {
		select {
		case <-g.open:
		case <-ctx.Done():
			return resolver.Answer[string]{}, ctx.Err()
		}
	}
	return g.world.TXT(ctx, name)
}

// A denial that lands after memory dropped the policy is none: the Store may
// have it still (R9).
func TestAPolicyIsDroppedDuringAnIDCheck(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		c, g := start(), &gated{world: w, name: "example.com"}
		c.Resolver = g
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		time.Sleep(2 * time.Minute)
		g.open = make(chan struct{})
		w.set("example.com", func(d *domain) { d.txt, d.httpErr = nil, errDown })
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce) // starts the check
		s := c.change("example.com")
		c.memory.drop(s, s.policies["example.com"]) // as a flood of other names does
		c.tell(s.unlock())
		close(g.open)
		synctest.Wait()
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
	})
}

// R1, RFC 8461, section 3.3: a policy that memory has no room for is replaced
// and renewed all the same, and not asked for more often.
func TestAPolicyApartIsRenewed(t *testing.T) {
	apart(t, func(t *testing.T, w *world, m *memStore, c *Client) {
		w.publish("x.example.com", "1", text(ModeEnforce, 365*day, "mx.example.com"))
		for range 5 * 24 {
			wantMode(t, lookup(t, c, "x.example.com"), ModeEnforce)
			time.Sleep(time.Hour)
		}
		if _, got := w.counts("x.example.com"); got < 4 || got > 6 {
			t.Errorf("%d GETs in five days", got)
		}
		w.publish("x.example.com", "2", text(ModeEnforce, 365*day, "new.example.com"))
		if r := lookup(t, c, "x.example.com"); r.ID != "2" || r.Policy.MX[0] != "new.example.com" {
			t.Errorf("%+v", r)
		}
		asked, got := w.counts("x.example.com")
		w.publish("x.example.com", "3", "no policy")
		time.Sleep(time.Hour)
		for range 20 {
			if r := lookup(t, c, "x.example.com"); r.ID != "2" || r.Failure == nil {
				t.Errorf("%+v", r)
			}
		}
		w.want(t, "x.example.com", asked+1, got+1)
		w.down("x.example.com")
		time.Sleep(time.Hour)
		for range 20 {
			if r := lookup(t, c, "x.example.com"); r.ID != "2" {
				t.Errorf("%+v", r)
			}
		}
		w.want(t, "x.example.com", asked+2, got+1)
		time.Sleep(time.Hour)
		w.publish("x.example.com", "4", text(ModeTesting, day, "new.example.com"))
		r, err := c.Refresh(t.Context(), "x.example.com")
		if err != nil || r.ID != "4" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
