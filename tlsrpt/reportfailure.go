package tlsrpt

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// failureGroup is one way to fail, with the hosts that did.
type failureGroup struct {
	Failure
	sessions int64
	hosts    map[string]int64 // "": no host was reached
}

// groupFailures puts details together by what to do about them, the most
// frequent first.
func groupFailures(details []FailureDetail) []*failureGroup {
	byFailure := make(map[Failure]*failureGroup)
	var groups []*failureGroup
	for _, d := range details {
		f := shownFailure(d)
		g := byFailure[f]
		if g == nil {
			g = &failureGroup{Failure: f, hosts: make(map[string]int64)}
			byFailure[f] = g
			groups = append(groups, g)
		}
		g.sessions = addCounts(g.sessions, d.Sessions)
		host := shownName(d.MXHost)
		g.hosts[host] = addCounts(g.hosts[host], d.Sessions)
	}
	slices.SortStableFunc(groups, func(a, b *failureGroup) int { return cmp.Compare(b.sessions, a.sessions) })
	return groups
}

// shownFailure returns what of a failure may be shown: the words that we know.
func shownFailure(d FailureDetail) Failure {
	f := Failure{Type: d.Type, Reason: d.Reason}
	if !registered(f.Type) {
		return Failure{}
	}
	if !isOurs(f.Reason) {
		f.Reason = ""
	}
	return f
}

// isOurs reports whether a reason is of our vocabulary, and not a word that only
// begins like one.
func isOurs(reason string) bool {
	if advice[reason] != "" {
		return true
	}
	for _, prefix := range [...]string{httpPrefix, starttlsPrefix, alertPrefix} {
		if rest, ok := strings.CutPrefix(reason, prefix); ok {
			_, err := strconv.ParseUint(rest, 10, 10)
			return err == nil || prefix == alertPrefix && slices.Contains(slices.Collect(maps.Values(alertNames)), rest)
		}
	}
	return false
}

// failure tells one way to fail.
func (t *text) failure(g *failureGroup, domain string) {
	t.line("")
	t.line("  " + cmp.Or(g.Failure.String(), "a failure of another kind") + ": " + plural(g.sessions, "session", "sessions"))
	hosts := make([]string, 0, len(g.hosts))
	width := 0
	for host := range g.hosts {
		if host != "" {
			hosts = append(hosts, host)
		}
	}
	slices.SortFunc(hosts, func(a, b string) int { return cmp.Or(cmp.Compare(g.hosts[b], g.hosts[a]), cmp.Compare(a, b)) })
	rest := hosts[min(len(hosts), maxTextHosts):]
	hosts = hosts[:len(hosts)-len(rest)]
	for _, host := range hosts {
		width = max(width, min(len(host), textWidth-20))
	}
	for _, host := range hosts {
		t.line(fmt.Sprintf("    %-*s  %s", width, host, number(g.hosts[host])))
	}
	if len(rest) > 0 {
		t.line("    and " + plural(int64(len(rest)), "more host", "more hosts"))
	}
	if advice := Advice(g.Failure); advice != "" {
		name := shownName(domain)
		if name != "" {
			advice = strings.ReplaceAll(advice, "<domain>", name)
		}
		t.wrapped("    ", advice)
	}
}
