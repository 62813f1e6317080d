package adversary

import (
	"errors"
	"slices"
	"time"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/outbound"
	"github.com/strictmx/strictmx/tlsrpt"
)

// planLife is how long a Plan may be acted on (R25).
const planLife = 10 * time.Minute

// observe is the Observer.
func (o *oracle) observe(e tlsrpt.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = append(o.told, e)
}

func (o *oracle) events() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.told)
}

// enforced is the enforce policy that was in force from the question to now.
func (o *oracle) enforced(q question) *get {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.history(victim)
	if k := h.known(); k == q.known && q.covered(h, o.now()) && k.facts.mode == mtasts.ModeEnforce {
		return k
	}
	return nil
}

func (o *oracle) refreshEnded() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.history(victim).refreshing = false
}

// walking: a Dialer may Refresh.
func (o *oracle) walking() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.history(victim).refreshing = true
}

// lifted: no policy holds this delivery back.
func (p planned) lifted() bool { return p.delivery.Report || p.delivery.TLSRequiredNo }

func (o *oracle) stale(p planned) bool { return o.now()-p.made > planLife }

// mode is what the Plan goes by.
func (p planned) mode() mtasts.Mode {
	if r := p.Result(); r.Policy != nil {
		return r.Policy.Mode
	}
	return ""
}

// held reports whether a policy, or the message, may hold this delivery back.
func (p planned) mayHold() bool {
	return p.delivery.RequireTLS || p.mode() == mtasts.ModeEnforce && !p.lifted()
}

// judgeSession checks what Plan.Session said of a host before anything was dialled.
func (o *oracle) judgeSession(p planned, host string, err error, events int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.note("session with %s: %v", host, err)
	switch {
	case o.stale(p):
		if err == nil {
			o.breach("R25", "a session of a Plan that is %v old", o.now()-p.made)
		}
		return
	case err != nil && !p.mayHold():
		o.breach("I2", "%s was refused under mode %q: %v", host, p.mode(), err)
	}
	if events > 1 || events > 0 && (err == nil || p.delivery.Report) {
		o.breach("I13", "%d events for a session with %s that ended with %v", events, host, err)
	}
	o.permanent(p, err)
}

func (o *oracle) judgeReuse(p planned, err error, events int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.note("reuse: %v", err)
	switch {
	case o.stale(p) && err == nil:
		o.breach("R25", "a connection was used again for a Plan that is %v old", o.now()-p.made)
	case !o.stale(p) && err != nil && !p.mayHold():
		o.breach("I2", "a kept connection was refused under mode %q: %v", p.mode(), err)
	case events != 0:
		o.breach("I13", "%d events for a connection used again", events)
	}
	o.permanent(p, err)
}

// judgeTLS checks what StartTLS said.
func (o *oracle) judgeTLS(p planned, c *channel, err error, events int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.note("StartTLS with %s (%v, %v): %v", c.host, c.strategy, c.chain, err)
	_, refused := errors.AsType[*outbound.Error](err)
	if refused && !p.mayHold() {
		o.breach("I2", "%s was refused under mode %q: %v", c.host, p.mode(), err)
	}
	if errors.Is(err, outbound.ErrRetryInClear) && p.mayHold() {
		o.breach("R36", "a retry in clear under mode %q", p.mode())
	}
	o.judgeEvents(p, c, 1, events)
	o.permanent(p, err)
}

func (o *oracle) judgeConnect(p planned, c *channel, err error, events int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c == nil {
		o.note("Connect: %v", err)
		if !o.stale(p) {
			o.breach("I2", "Connect did not dial: %v", err)
		}
		return
	}
	o.note("Connect to %s (%v, %v): %v", c.host, c.strategy, c.chain, err)
	early := c.strategy == smtpBanner || c.strategy == smtpEndless
	if err != nil && !early && !p.mayHold() && !o.stale(p) {
		o.breach("I2", "%s was refused under mode %q: %v", c.host, p.mode(), err)
	}
	if !early {
		o.judgeEvents(p, c, 1, events)
	}
	o.permanent(p, err)
}

// judgeEvents checks that a session is told once, and truly.
func (o *oracle) judgeEvents(p planned, c *channel, want, events int) {
	if p.delivery.Report {
		want = 0
	}
	if events != want {
		o.breach("I13", "%d events for a session with %s, want %d", events, c.host, want)
		return
	}
	if events == 0 {
		return
	}
	for _, out := range o.told[len(o.told)-1].Outcomes {
		if len(out.Failures) == 0 && !c.complete() {
			o.breach("I13", "a session with %s is told as a success, although no handshake was complete", c.host)
		}
		if len(out.Failures) == 0 && out.Policy.Type == tlsrpt.STS && !c.proved() {
			o.breach("I13", "a session with %s is told as a success, although it proved nothing", c.host)
		}
	}
}

func (o *oracle) judgeRefusal(p planned, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.note("Dialer: %v", err)
	o.permanent(p, err)
}

// permanent: under a fresh enforce policy nothing that anyone could have said is
// a reason to give up the mail (I11).
func (o *oracle) permanent(p planned, err error) {
	if e, ok := errors.AsType[*outbound.Error](err); ok && !e.Temporary() && p.enforced != nil {
		o.breach("I11", "%v", err)
	}
}

// delivered is DATA.
func (o *oracle) delivered(p planned, s *outbound.Session, c *channel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	proved := c.proved()
	o.note("DATA to %s (%v, %v, proved: %v)", c.host, c.strategy, c.chain, proved)
	o.stats.deliveries++
	if p.enforced != nil && !p.lifted() {
		if !proved || !slices.Contains(p.enforced.facts.mx, c.host) {
			o.breach("I1", "DATA to %s (%v, %v) under the policy fetched at %s", c.host, c.strategy, c.chain, stamp(p.enforced.start))
		}
	}
	if p.delivery.RequireTLS && !(proved && s.Named()) {
		o.breach("I1", "DATA to %s (%v, %v) for REQUIRETLS", c.host, c.strategy, c.chain)
	}
	if level := s.Level(); level == outbound.Verified && !proved {
		o.breach("R14", "a session with %s (%v, %v) counts as verified", c.host, c.strategy, c.chain)
	}
	if p.Plan == nil {
		return
	}
	cause := p.Cause()
	o.stats.delivered[cause]++
	want := p.Result().Cause()
	switch {
	case p.delivery.RequireTLS:
		want = ""
	case want == "" && p.lifted():
		want = outbound.CauseException
	}
	if cause != want || cause == "" && !proved {
		o.breach("I10", "the cause of a delivery to %s is %q, want %q", c.host, cause, want)
	}
}

// heldBack: no host took the mail, which must have a reason.
func (o *oracle) heldBack(p planned) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stats.held++
	if o.stale(p) || !o.wires.honest() || p.delivery.RequireTLS && p.mode() == "" {
		return
	}
	if named := p.Result().Policy; !p.mayHold() || named != nil && slices.Contains(named.MX, mx1) {
		o.breach("I2", "a mail was held back under mode %q, although %s is well", p.mode(), mx1)
	}
}
