package collect

import "github.com/strictmx/strictmx/internal/dnsname"

// turns are the domains whose records are to be looked up. Each parent has a line
// of its own, and lines have their turn one after the other: name servers that are
// slow, of however many names, keep nobody waiting but their own. A line that has
// its share of lookups has no turn until one of them ends; it is not polled.
//
// The zero value works. It belongs to one goroutine.
type turns struct {
	lines  map[string]*line // by parent, of those that have a name or a lookup
	queue  []*line          // those that have a name and may begin a lookup, each once
	flying int              // lookups in the air
}

type line struct {
	names  []string
	flying int32
	queued bool
}

// add puts a name at the end of its parent's line.
func (t *turns) add(name string) {
	parent := dnsname.Parent(name)
	l := t.lines[parent]
	if l == nil {
		if t.lines == nil {
			t.lines = make(map[string]*line)
		}
		l = new(line)
		t.lines[parent] = l
	}
	l.names = append(l.names, name)
	t.enqueue(l)
}

// next returns the name whose turn it is, and counts its lookup until land is
// called. It is not ok where there is none, or all lookups are taken. Names that
// are not needed any more are dropped.
func (t *turns) next(needed func(string) bool) (name string, ok bool) {
	for t.flying < maxLookups && len(t.queue) > 0 {
		l := t.queue[0]
		t.queue = t.queue[1:]
		l.queued = false
		name, l.names = l.names[0], l.names[1:]
		if ok = needed(name); ok {
			l.flying++
			t.flying++
		}
		t.enqueue(l)
		if ok {
			return name, true
		}
		t.leave(name, l)
	}
	return "", false
}

// land ends the lookup of a name.
func (t *turns) land(name string) {
	l := t.lines[dnsname.Parent(name)]
	l.flying--
	t.flying--
	t.enqueue(l)
	t.leave(name, l)
}

func (t *turns) enqueue(l *line) {
	if !l.queued && len(l.names) > 0 && l.flying < maxParentLookups {
		l.queued = true
		t.queue = append(t.queue, l)
	}
}

// leave forgets the line of a name if nothing is left of it.
func (t *turns) leave(name string, l *line) {
	if len(l.names) == 0 && l.flying == 0 {
		delete(t.lines, dnsname.Parent(name))
	}
}
