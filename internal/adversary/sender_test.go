package adversary

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/outbound"
	"github.com/strictmx/strictmx/tlsrpt"
)

// sender is a mail server that does all that outbound allows, and does it late,
// again, and with what it should have thrown away.
type sender struct {
	*player
	enforcer *outbound.Enforcer
	dialer   *outbound.Dialer
	plans    []planned          // kept for later
	pool     map[string]*pooled // connections kept for later, by host
	dialled  []*channel         // by the Dialer
}

// planned is a Plan, and what was known when it was made.
type planned struct {
	*outbound.Plan
	delivery outbound.Delivery
	made     time.Duration
	enforced *get // the enforce policy that was in force
}

// pooled is a connection, and the state in which the sender holds it to be.
type pooled struct {
	channel *channel
	state   tls.ConnectionState
}

func newSender(p *player) *sender {
	s := &sender{player: p, pool: make(map[string]*pooled)}
	s.enforcer = &outbound.Enforcer{
		MTASTS: p.c, LocalName: "out.sender.test", TLSConfig: &tls.Config{RootCAs: theirs().roots, CurvePreferences: []tls.CurveID{tls.CurveP256}}, // the cheapest
		Observer: tlsrpt.ObserverFunc(p.w.observe),
	}
	s.dialer = &outbound.Dialer{Enforcer: s.enforcer, Resolver: p.w, DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
		c := p.w.connect(at(address))
		s.dialled = append(s.dialled, c)
		return p.w.dial(c), nil
	}}
	return s
}

// send delivers one message, or does not.
func (s *sender) send(d dice) {
	dl := outbound.Delivery{Domain: victim}
	switch {
	case d.chance(4):
		dl.Report = true
	case d.chance(4):
		dl.TLSRequiredNo = true
	case d.chance(3):
		dl.RequireTLS = true
	}
	if d.chance(5) {
		s.walk(dl)
		return
	}
	p, ok := s.plan(d, dl)
	if !ok || s.hosts(d, p) || d.chance(50) {
		return
	}
	synctest.Wait()
	q := s.w.askRefresh()
	next, err := p.Refresh(context.Background())
	if next == p.Plan {
		s.w.refreshEnded()
		return
	}
	s.hosts(d, s.learned(q, next, p.delivery, err))
}

// plan makes a Plan, or takes one that was kept.
func (s *sender) plan(d dice, dl outbound.Delivery) (planned, bool) {
	if len(s.plans) > 0 && d.chance(25) {
		return s.plans[d.IntN(len(s.plans))], true
	}
	synctest.Wait()
	s.w.settle()
	q := s.w.ask(forth)
	q.lifted = dl.Report || dl.TLSRequiredNo
	plan, err := s.enforcer.Plan(context.Background(), dl)
	p := s.learned(q, plan, dl, err)
	if err == nil && d.chance(30) {
		s.plans = append(s.plans, p)
	}
	return p, err == nil
}

// learned has a Plan's Result judged as though Lookup had given it.
func (s *sender) learned(q question, plan *outbound.Plan, dl outbound.Delivery, err error) planned {
	p := planned{Plan: plan, delivery: dl, made: q.at}
	if err != nil {
		s.w.judge(q, mtasts.Result{}, err)
		return p
	}
	s.w.judge(q, plan.Result(), nil)
	p.enforced = s.w.enforced(q)
	return p
}

// hosts walks the MX hosts until one takes the mail.
func (s *sender) hosts(d dice, p planned) bool {
	for _, host := range s.w.hosts() {
		events := s.w.events()
		session, err := p.Session(context.Background(), host)
		s.w.judgeSession(p, host, err, s.w.events()-events)
		if err == nil && s.try(d, p, session, host) {
			return true
		}
	}
	s.w.heldBack(p)
	return false
}

// try delivers to one host: over a connection that it kept, or a new one.
func (s *sender) try(d dice, p planned, session *outbound.Session, host string) bool {
	if kept := s.pool[host]; kept != nil && d.chance(60) {
		events := s.w.events()
		err := session.Reuse(kept.state)
		s.w.judgeReuse(p, err, s.w.events()-events)
		if err == nil {
			s.w.delivered(p, session, kept.channel)
			return true
		}
	}
	time.Sleep(time.Duration(d.IntN(1000)) * time.Millisecond)
	if d.chance(6) {
		return s.connect(p, session, host)
	}
	c := s.w.connect(host)
	if c.strategy == smtpBanner || c.strategy == smtpEndless {
		return false // the client sees that before it asks
	}
	events := s.w.events()
	err := session.StartTLS(talk{c})
	s.w.judgeTLS(p, c, err, s.w.events()-events)
	if d.chance(40) { // even when it should not
		s.pool[host] = &pooled{c, c.state}
	}
	switch {
	case err == nil:
		s.w.delivered(p, session, c)
		return true
	case errors.Is(err, outbound.ErrRetryInClear):
		again := s.w.connect(host)
		again.noTLS = true
		s.w.delivered(p, session, again)
		return true
	}
	return false
}

// connect lets the library do all of it.
func (s *sender) connect(p planned, session *outbound.Session, host string) bool {
	var last *channel
	events := s.w.events()
	conn, err := session.Connect(context.Background(), func(context.Context) (net.Conn, error) {
		last = s.w.connect(host)
		return s.w.dial(last), nil
	})
	synctest.Wait() // the server has seen the end of the handshake, too
	s.w.judgeConnect(p, last, err, s.w.events()-events)
	if err != nil {
		return false
	}
	defer conn.Close()
	s.w.greeted(conn)
	s.w.delivered(p, session, last)
	return true
}

// greeted checks that nothing from before TLS is seen after it (R35).
func (o *oracle) greeted(conn *outbound.Conn) {
	greeting, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(greeting, "220 ") || strings.Contains(greeting, "foreign") {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.breach("R35", "the greeting read from Connect's connection is %q, %v", greeting, err)
	}
}

// walk lets the Dialer do even more.
func (s *sender) walk(dl outbound.Delivery) {
	synctest.Wait()
	s.w.settle()
	q := s.w.ask(forth)
	known := s.w.enforced(q)
	s.w.walking()
	for conn, err := range s.dialer.Conns(context.Background(), dl) {
		synctest.Wait()
		p := planned{delivery: dl, made: q.at, enforced: known}
		if s.w.enforced(q) != known {
			p.enforced = nil // it changed meanwhile
		}
		if err != nil {
			s.w.judgeRefusal(p, err)
			continue
		}
		s.w.delivered(p, conn.Session, s.dialled[len(s.dialled)-1])
		conn.Close()
		break
	}
	s.w.refreshEnded()
}
