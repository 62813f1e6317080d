package collect

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// recordsPerGuest is how many records may be remembered for one guest: guests are
// held beside Memory, as records are.
const recordsPerGuest = 16

// guests are domains that found no room while it was not known whether they want
// reports. Their records are looked up nevertheless: one that wants them need not be
// pending the next time, however full of silent domains that part of the memory is.
// Of one parent there are a few, as many as are looked up at once.
type guests struct {
	capacity int

	mu      sync.Mutex
	names   map[string]bool // guarded by mu, as is all below
	parents map[string]int
	todo    []string // those that Run has not taken yet
}

// ask has the record of a domain looked up that finds no room, if it is a matter
// of the record. s is locked.
func (c *Collector) ask(s *shard, domain string, t *tally) {
	if f, known := c.records.known(domain); t.pending && !(known && f.silent) && c.guests.add(domain) {
		c.wakeRun()
	}
}

// add reports whether a domain has become a guest.
func (g *guests) add(domain string) bool {
	parent := dnsname.Parent(domain)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.names[domain] || len(g.names) >= g.capacity || g.parents[parent] >= maxParentLookups {
		return false
	}
	if g.names == nil {
		g.names, g.parents = make(map[string]bool), make(map[string]int)
	}
	domain = strings.Clone(domain) // it may be a part of something large
	g.names[domain] = true
	g.parents[dnsname.Parent(domain)]++
	g.todo = append(g.todo, domain)
	return true
}

// take returns the guests that are new.
func (g *guests) take() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	names := g.todo
	g.todo = nil
	return names
}

func (g *guests) has(domain string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.names[domain]
}

// leave ends the stay of a domain, whose record was looked up.
func (g *guests) leave(domain string) {
	parent := dnsname.Parent(domain)
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.names[domain] {
		return
	}
	delete(g.names, domain)
	if g.parents[parent]--; g.parents[parent] == 0 {
		delete(g.parents, parent)
	}
}

// restart makes all guests new: an earlier Run may have taken some and ended.
func (g *guests) restart() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.todo = slices.Collect(maps.Keys(g.names))
}
