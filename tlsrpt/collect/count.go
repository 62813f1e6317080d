package collect

import (
	"net/netip"
	"strings"

	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	maxPolicies = 8  // of a domain on a day; and a bare one for each type
	maxDetails  = 64 // of a policy; what is over goes to one for each type and host
	maxHosts    = 64 // of those; what is over goes to one for each type
)

// counter counts one session in the tally of its domain, whose shard is locked.
type counter struct {
	c      *Collector
	s      *shard
	t      *tally
	domain string
	e      *tlsrpt.Event
}

// outcome counts what one policy made of the session: one success or one
// failure, however many things went wrong (RFC 8460, section 4.2; AMB-31). It
// reports whether there was room.
func (x *counter) outcome(o *tlsrpt.Outcome) bool {
	if o.Policy == nil || letterOf(o.Policy.Type) == 0 {
		return false
	}
	e := x.entry(o.Policy)
	switch {
	case e == nil:
		return false
	case len(o.Failures) == 0:
		saturate(&e.successful)
	default:
		saturate(&e.failed)
		x.details(e, o.Failures)
	}
	return true
}

// entry returns where a policy is counted; nil if there is no room.
func (x *counter) entry(p *tlsrpt.Policy) *entry {
	for i := range x.t.entries {
		if e := &x.t.entries[i]; e.holds(p, x.domain) {
			return e
		}
	}
	made := newEntry(p, x.domain)
	if e := x.same(&made); e != nil {
		return e // it was not clean, or is too long
	}
	if len(x.t.entries) < maxPolicies {
		if e := x.add(made, ordinary); e != nil {
			return e
		}
	}
	x.s.stats.OverflowPolicies++
	made = bare(letterOf(p.Type))
	if e := x.same(&made); e != nil {
		return e
	}
	return x.add(made, overflow)
}

func (x *counter) same(made *entry) *entry {
	for i := range x.t.entries {
		if e := &x.t.entries[i]; e.policy == made.policy {
			return e
		}
	}
	return nil
}

func (x *counter) add(made entry, r rank) *entry {
	t := x.t
	if !x.c.budget.grow(t, stringCost(made.policy)+growCost(t.entries), r) {
		return nil
	}
	t.entries = appendTight(t.entries, made)
	return &t.entries[len(t.entries)-1]
}

// details counts the session under everything that went wrong, under each but once
// (RPT-27).
func (x *counter) details(e *entry, failures []tlsrpt.Failure) {
	var counted set
	for _, f := range failures {
		if i := x.detail(e, f); i >= 0 && counted.add(i) {
			saturate(&e.details[i].Sessions)
		}
	}
}

// detail returns the index of where a failure is counted, by all that is known
// of it (RPT-49) while there is room, then by type and host, then by type (R26).
// It is -1 where even that has none.
func (x *counter) detail(e *entry, f tlsrpt.Failure) int {
	d := tlsrpt.FailureDetail{
		Type: f.Type, Reason: f.Reason, Info: f.Info,
		MXHost: x.e.MXHost, HELO: x.e.HELO, ReceivingIP: x.e.ReceivingIP, SendingIP: x.e.SendingIP,
	}
	if x.c.MaskSendingIP { // RPT-52
		d.SendingIP = netip.Addr{}
	}
	if i := find(e.details, &d); i >= 0 {
		return i // so it is clean
	}
	d = d.Clean() // R16, RPT-54
	if i := find(e.details, &d); i >= 0 {
		return i
	}
	if len(e.details) < maxDetails && x.addDetail(e, &d, ordinary) {
		return len(e.details) - 1
	}
	x.s.stats.OverflowDetails++
	f = tlsrpt.Failure{Type: d.Type}.Clean() // has a reason where the type needs one
	less := tlsrpt.FailureDetail{Type: f.Type, Reason: f.Reason, MXHost: d.MXHost}
	if i := find(e.details, &less); i >= 0 {
		return i
	}
	if len(e.details) < maxDetails+maxHosts && x.addDetail(e, &less, overflow) {
		return len(e.details) - 1
	}
	less.MXHost = ""
	if i := find(e.details, &less); i >= 0 {
		return i
	}
	if x.addDetail(e, &less, overflow) {
		return len(e.details) - 1
	}
	return -1
}

func (x *counter) addDetail(e *entry, d *tlsrpt.FailureDetail, r rank) bool {
	own := *d
	cost := growCost(e.details) + ownString(e.details, (*string)(&own.Type))
	for _, s := range [...]*string{&own.MXHost, &own.HELO, &own.Info, &own.Reason} {
		cost += ownString(e.details, s)
	}
	if !x.c.budget.grow(x.t, cost, r) {
		return false
	}
	e.details = appendTight(e.details, own)
	return true
}

// find returns the index of the detail that is d but for the count. Hostile hosts
// vary their addresses and names: those are compared first.
func find(details []tlsrpt.FailureDetail, d *tlsrpt.FailureDetail) int {
	for i := range details {
		if h := &details[i]; h.ReceivingIP == d.ReceivingIP && h.HELO == d.HELO && h.Type == d.Type && h.Reason == d.Reason &&
			h.MXHost == d.MXHost && h.SendingIP == d.SendingIP && h.Info == d.Info {
			return i
		}
	}
	return -1
}

// set holds indices of the details of one policy.
type set [(maxDetails+maxHosts)/64 + 1]uint64

// add reports whether i is new.
func (s *set) add(i int) bool {
	word, bit := &s[i/64], uint64(1)<<(i%64)
	isNew := *word&bit == 0
	*word |= bit
	return isNew
}

// saturate counts up to the largest number that a report may hold (RPT-54).
func saturate(n *int64) {
	if *n < tlsrpt.MaxCount {
		*n++
	}
}

// connected reports whether the session reached EHLO: only then did somebody
// talk to a mail server of this domain (R17).
func connected(e *tlsrpt.Event) bool {
	if e.HELO != "" || e.ReceivingIP.IsValid() {
		return true
	}
	for i := range e.Outcomes {
		if o := &e.Outcomes[i]; o.Policy != nil && len(o.Failures) == 0 {
			return true
		}
		for _, f := range e.Outcomes[i].Failures {
			if reachedEHLO(f) {
				return true
			}
		}
	}
	return false
}

// reachedEHLO reports whether a failure can only be seen by who talked to the
// mail server.
func reachedEHLO(f tlsrpt.Failure) bool {
	switch f.Type {
	case tlsrpt.STARTTLSNotSupported, tlsrpt.CertificateHostMismatch, tlsrpt.CertificateExpired, tlsrpt.CertificateNotTrusted:
		return true
	case tlsrpt.ValidationFailure:
		switch f.Reason {
		case tlsrpt.ReasonPlaintextInjection, tlsrpt.ReasonREQUIRETLS:
			return true
		}
		return strings.HasPrefix(f.Reason, "tls-") || strings.HasPrefix(f.Reason, "handshake-")
	}
	return false
}
