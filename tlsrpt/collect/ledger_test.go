package collect_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// ledger counts sessions in the plainest way there is. It is what the Collector,
// the Reporter, and everybody who read their reports, must agree with.
type ledger struct {
	mu       sync.Mutex
	total    int
	accounts map[string]*account // by day and domain
	seen     []tlsrpt.Event      // one of each shape
	shapes   map[string]bool
}

// account is one domain on one day.
type account struct {
	sessions int64
	met      bool            // a session reached EHLO
	policies map[string]sums // by all that a report shows of them
}

type sums struct {
	good, bad int64
	details   map[tlsrpt.FailureDetail]int64 // by all but the count
}

func (l *ledger) account(day time.Time, domain string) *account {
	if l.accounts == nil {
		l.accounts, l.shapes = make(map[string]*account), make(map[string]bool)
	}
	key := accountKey(day, domain)
	if l.accounts[key] == nil {
		l.accounts[key] = &account{policies: make(map[string]sums)}
	}
	return l.accounts[key]
}

func accountKey(day time.Time, domain string) string {
	return day.UTC().Format("2006-01-02 ") + domain
}

func (l *ledger) Observe(e tlsrpt.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(e.Time, e.Domain)
	l.total++
	a.sessions++
	a.met = a.met || e.HELO != ""
	for _, o := range e.Outcomes {
		s := a.of(*o.Policy)
		if len(o.Failures) == 0 {
			s.good++
		} else {
			s.bad++
		}
		for _, f := range o.Failures {
			s.details[tlsrpt.FailureDetail{
				Type: f.Type, Reason: f.Reason, Info: f.Info,
				MXHost: e.MXHost, HELO: e.HELO, SendingIP: e.SendingIP, ReceivingIP: e.ReceivingIP,
			}]++
		}
		a.policies[policyKey(*o.Policy)] = s
		if shape := fmt.Sprint(e.Domain, e.MXHost, policyKey(*o.Policy), o.Failures); !l.shapes[shape] {
			l.shapes[shape] = true
			l.seen = append(l.seen, e)
		}
	}
}

// types returns the result types there were.
func (l *ledger) types() []tlsrpt.ResultType {
	seen := make(map[tlsrpt.ResultType]bool)
	for _, a := range l.accounts {
		for _, s := range a.policies {
			for d := range s.details {
				seen[d.Type] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// of returns what was counted for a policy so far.
func (a *account) of(p tlsrpt.Policy) sums {
	s, ok := a.policies[policyKey(p)]
	if !ok {
		s.details = make(map[tlsrpt.FailureDetail]int64)
	}
	return s
}

func policyKey(p tlsrpt.Policy) string {
	return fmt.Sprintf("%s of %s %q %q", p.Type, p.Domain, p.Strings, p.MXHosts)
}

// read makes the account that a report tells of. Its sessions are the sum over the
// policies: in this world a session is judged by one.
func read(r *tlsrpt.Report) (*account, error) {
	a := &account{policies: make(map[string]sums)}
	for _, p := range r.Policies {
		if _, twice := a.policies[policyKey(p.Policy)]; twice {
			return nil, fmt.Errorf("two entries for %s", policyKey(p.Policy))
		}
		s := sums{good: p.Summary.Successful, bad: p.Summary.Failed, details: make(map[tlsrpt.FailureDetail]int64)}
		for _, d := range p.Failures {
			n := d.Sessions
			d.Sessions = 0
			if s.details[d] != 0 { // RPT-49
				return nil, fmt.Errorf("two entries for %+v", d)
			}
			s.details[d] = n
		}
		a.policies[policyKey(p.Policy)] = s
		a.sessions += s.good + s.bad
	}
	return a, nil
}

// differs says how two accounts differ; "" if they do not.
func (a *account) differs(b *account) string {
	if a.sessions != b.sessions {
		return fmt.Sprintf("%d sessions, not %d", a.sessions, b.sessions)
	}
	for key, s := range a.policies {
		o, ok := b.policies[key]
		switch {
		case !ok:
			return "no entry for " + key
		case s.good != o.good || s.bad != o.bad:
			return fmt.Sprintf("%d good and %d bad, not %d and %d, for %s", s.good, s.bad, o.good, o.bad, key)
		case !maps.Equal(s.details, o.details):
			return fmt.Sprintf("details %v, not %v, for %s", s.details, o.details, key)
		}
	}
	if len(a.policies) != len(b.policies) {
		return fmt.Sprintf("%d policies, not %d", len(a.policies), len(b.policies))
	}
	return ""
}
