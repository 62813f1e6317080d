package main

import (
	"cmp"
	"encoding/json"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// tally adds reports up. Everything in it is clean already (clean.go).
type tally struct {
	reports, duplicates int
	contradictions      int
	seen                map[reportKey]bool
	digests             map[uint64]bool
	seed                maphash.Seed
	all                 counts
	domains             map[string]*domain
	orgs                map[string]*org
	advice              map[string]*todo
	days                map[int]bool
}

// reportKey is how reports name themselves. The day is in it because there are
// senders that use one report-id for two days.
type reportKey struct {
	org, id    string
	start, end int64
}

// org is one organisation that reported, under the name that it gives itself.
type org struct {
	Name, Contact string
	Reports       int
	Sessions      counts
	days          map[int]bool
}

// domain is one recipient domain.
type domain struct {
	Name     string
	Sessions counts
	policies map[policyKey]*policy
	failures map[failureKey]*failure
}

type policyKey struct{ kind, at string }

// policy is all sessions of a domain that one policy judged.
type policy struct {
	Kind, At string // the policy-type; and the policy domain where it is not the recipient domain
	Sessions counts
	modes    map[string]bool
	days     map[int]counts
}

type failureKey struct{ kind, reason, host string }

// failure is all sessions that failed in one way with one host.
type failure struct {
	Kind, Reason, Host string
	Sessions           int64
	orgs               map[string]int64
}

// todo is what one thing to do would put right.
type todo struct {
	Advice   string
	Sessions int64
	kinds    map[string]int64
	hosts    map[string]int64
	domains  map[string]int64
}

// undated is the day of a report that does not say which.
const undated = -1 << 40

func newTally() *tally {
	return &tally{
		seen: make(map[reportKey]bool), digests: make(map[uint64]bool), seed: maphash.MakeSeed(), domains: make(map[string]*domain),
		orgs: make(map[string]*org), advice: make(map[string]*todo), days: make(map[int]bool),
	}
}

// add counts r, unless it is a duplicate: one that comes twice, from two mailboxes
// or out of two folders, counts once. It is what a report says that makes it one,
// and not its name, which whoever wants it overlooked can guess and use first.
func (t *tally) add(r *tlsrpt.Report) {
	who := cmp.Or(text(r.Organization), text(r.Contact), "(no name)")
	key := reportKey{who, r.ID, r.Range.Start.Unix(), r.Range.End.Unix()}
	digest := t.digest(r)
	if t.digests[digest] {
		t.duplicates++
		return
	}
	t.digests[digest] = true
	if t.seen[key] && r.ID != "" {
		t.contradictions++
	}
	t.seen[key] = true
	t.reports++
	day := dayOf(r.Range)
	if day != undated {
		t.days[day] = true
	}
	o := entry(t.orgs, who, func() *org { return &org{Name: who, days: make(map[int]bool)} })
	o.Reports++
	o.Contact = cmp.Or(o.Contact, text(r.Contact))
	o.days[day] = true
	for _, p := range r.Policies {
		c := t.policy(p, day, who, recipient(r, p.Policy))
		o.Sessions.add(c)
		t.all.add(c)
	}
}

// policy counts what r says of one policy.
func (t *tally) policy(p tlsrpt.PolicyResult, day int, who, at string) counts {
	d := entry(t.domains, at, func() *domain {
		return &domain{Name: at, policies: make(map[policyKey]*policy), failures: make(map[failureKey]*failure)}
	})
	key := policyKey{kind: cmp.Or(name(string(p.Policy.Type)), "unknown")}
	if own := name(p.Policy.Domain); own != at {
		key.at = own
	}
	q := entry(d.policies, key, func() *policy {
		return &policy{Kind: key.kind, At: key.at, modes: make(map[string]bool), days: make(map[int]counts)}
	})
	if mode := modeOf(p.Policy); mode != "" {
		q.modes[mode] = true
	}
	var c counts
	c.add(counts{p.Summary.Successful, p.Summary.Failed})
	q.Sessions.add(c)
	d.Sessions.add(c)
	onDay := q.days[day]
	onDay.add(c)
	q.days[day] = onDay
	for _, f := range p.Failures {
		t.failure(d, f, who)
	}
	return c
}

// failure counts the sessions of f by type and host, and by what to do.
func (t *tally) failure(d *domain, f tlsrpt.FailureDetail, who string) {
	key := failureKey{cmp.Or(name(string(f.Type)), "unknown"), text(f.Reason), hostOf(f)}
	if key.reason == key.kind {
		key.reason = ""
	}
	n := sum(f.Sessions, 0)
	g := entry(d.failures, key, func() *failure {
		return &failure{Kind: key.kind, Reason: key.reason, Host: key.host, orgs: make(map[string]int64)}
	})
	g.Sessions = sum(g.Sessions, n)
	g.orgs[who] = sum(g.orgs[who], n)

	what, known := advise(key.kind, key.reason)
	label := key.kind
	if known {
		label = tlsrpt.Failure{Type: tlsrpt.ResultType(key.kind), Reason: key.reason}.String()
	}
	a := entry(t.advice, what, func() *todo {
		return &todo{Advice: what, kinds: make(map[string]int64), hosts: make(map[string]int64), domains: make(map[string]int64)}
	})
	a.Sessions = sum(a.Sessions, n)
	a.kinds[label] = sum(a.kinds[label], n)
	a.domains[d.Name] = sum(a.domains[d.Name], n)
	if key.host != "" {
		a.hosts[key.host] = sum(a.hosts[key.host], n)
	}
}

// advise says what to do. The reasons of others are free text: where it is not
// one of ours, the type alone decides, and known is false.
func advise(kind, reason string) (advice string, known bool) {
	if advice = tlsrpt.Advice(tlsrpt.Failure{Type: tlsrpt.ResultType(kind), Reason: reason}); advice != "" {
		return advice, true
	}
	advice = tlsrpt.Advice(tlsrpt.Failure{Type: tlsrpt.ResultType(kind)})
	return cmp.Or(advice, "Ask who reported it what it means: RFC 8460 knows no such result type."), false
}

// hostOf is what is known of the host; "" where the failure is not about one.
func hostOf(f tlsrpt.FailureDetail) string {
	host := cmp.Or(name(f.MXHost), name(f.HELO))
	if host == "" && f.ReceivingIP.IsValid() {
		host = f.ReceivingIP.WithZone("").String()
	}
	return host
}

// recipient is the recipient domain that p is about. The domain of a TLSA policy
// is a host's; a report is about one domain, so another policy may tell.
func recipient(r *tlsrpt.Report, p tlsrpt.Policy) string {
	own := name(p.Domain)
	if p.Type == tlsrpt.TLSA || own == "" {
		for _, other := range r.Policies {
			if other.Policy.Type != tlsrpt.TLSA && other.Policy.Domain != "" {
				own = name(other.Policy.Domain)
				break
			}
		}
		own = cmp.Or(name(r.Domain), own)
	}
	return cmp.Or(own, "(no domain)")
}

// modeOf is the mode of an STS policy, from its lines.
func modeOf(p tlsrpt.Policy) string {
	if p.Type != tlsrpt.STS {
		return ""
	}
	for _, s := range p.Strings {
		if key, value, ok := strings.Cut(s, ":"); ok && strings.TrimSpace(key) == "mode" {
			switch value = strings.TrimSpace(value); value {
			case "enforce", "testing", "none":
				return value
			}
			return ""
		}
	}
	return ""
}

// dayOf is the UTC day that holds the middle of d: a sender whose day begins by
// local time, or ends with the first second of the next, means that one.
func dayOf(d tlsrpt.DateRange) int {
	switch {
	case d.Start.IsZero() && d.End.IsZero():
		return undated
	case d.Start.IsZero():
		return dayNumber(d.End)
	case d.End.Before(d.Start):
		return dayNumber(d.Start)
	}
	return dayNumber(time.Unix(d.Start.Unix()+(d.End.Unix()-d.Start.Unix())/2, 0))
}

// digest is that of all that a report says.
func (t *tally) digest(r *tlsrpt.Report) uint64 {
	b, _ := json.Marshal(r) // no field of it can fail
	var h maphash.Hash
	h.SetSeed(t.seed)
	h.Write(b)
	return h.Sum64()
}

// entry returns m[k], which it makes if it is not there.
func entry[K comparable, V any](m map[K]*V, k K, make func() *V) *V {
	v := m[k]
	if v == nil {
		v = make()
		m[k] = v
	}
	return v
}

// ranked returns the keys of m, the largest count first.
func ranked(m map[string]int64) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
}
