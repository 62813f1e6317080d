package collect

import (
	pq "container/heap"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// perOwnerAtOnce is how many of the places the domains with one owner get, who can
// make up any number of them, each with slow DNS and slow hosts.
const perOwnerAtOnce = 4

// jobs knows the state of every report of every sealed day: what is still to be
// done, and when. It is the one place where that changes.
type jobs struct {
	mu     sync.Mutex
	days   map[time.Time]*sealedDay // those that were sealed, so that none is twice
	queue  taskQueue                // the tasks that nobody works on
	owners map[string]*owner
	stats  ReporterStats
	rnd    *rand.Rand
	wake   chan struct{} // something was put into the queue
}

// owner is the work for the domains that have one.
type owner struct {
	busy    int     // tasks being worked on
	waiting []*task // that are due, and for which there was no place
}

// sealedDay is a day that is over. Its counts of reports for each destination are
// guarded by jobs.mu.
type sealedDay struct {
	start     time.Time
	left      int           // tasks
	mailboxes map[quota]int // R17
	hosts     map[quota]int
}

// quota is what is counted for a destination: all of its reports, or those about
// the domains with one owner, who gets a sixteenth of it unless it is their own.
type quota struct{ destination, owner string }

const ownersShare = 16

// task is the report of one day for one domain. It belongs to whoever took it
// from the queue.
type task struct {
	day    *sealedDay
	domain string
	due    instant

	begun        bool
	first, limit instant  // of attempts; once it was begun
	lookups      int      // that failed
	targets      []target // where the report goes; nil: not known yet
}

// target is one destination of a report: the job that is done once at most.
type target struct {
	rua     string
	mailbox string // "" for https
	host    string // of the URI, or the mailbox's domain
	due     instant
	tries   int
	done    bool
	err     error // what became of the last attempt, or why there is none; nil once it was accepted
}

// seal makes a task for each domain of a day that was not sealed before, at a
// moment by chance within the time given.
func (j *jobs) seal(day time.Time, domains []string, now instant, within time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	d := &sealedDay{start: day, left: len(domains), mailboxes: make(map[quota]int), hosts: make(map[quota]int)}
	j.prune()
	j.days[day] = d
	j.queue = slices.Grow(j.queue, len(domains))
	for _, domain := range domains {
		due := now + time.Duration(j.rnd.Int64N(int64(within)))
		j.queue = append(j.queue, &task{day: d, domain: domain, due: due})
	}
	pq.Init(&j.queue)
	j.stats.Pending += uint64(len(domains))
}

// prune makes room for one more day. It forgets as many as the Collector does,
// the oldest of those that are done with. j is locked.
func (j *jobs) prune() {
	for len(j.days) >= maxSealedDays {
		var oldest *sealedDay
		for _, d := range j.days {
			if d.left == 0 && (oldest == nil || d.start.Before(oldest.start)) {
				oldest = d
			}
		}
		if oldest == nil {
			return
		}
		delete(j.days, oldest.start)
	}
}

func (j *jobs) isSealed(day time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.days[day] != nil
}

// hurry makes every task of a day due now.
func (j *jobs) hurry(day time.Time, now instant) {
	j.mu.Lock()
	defer j.mu.Unlock()
	d := j.days[day]
	if d.left == 0 {
		return
	}
	for _, t := range j.queue {
		if t.day == d {
			t.due = min(t.due, now)
		}
	}
	pq.Init(&j.queue)
}

// next takes the task that is due first from the queue, if it is due, or says how
// long to wait for it. Whoever takes it calls leave in the end.
func (j *jobs) next(now instant) (t *task, wait time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.queue) > 0 {
		if first := j.queue[0]; first.due > now {
			return nil, first.due - now
		}
		t = pq.Pop(&j.queue).(*task)
		o := j.owners[dnsname.Parent(t.domain)]
		if o == nil {
			o = new(owner)
			j.owners[dnsname.Parent(t.domain)] = o
		}
		if o.busy < perOwnerAtOnce {
			o.busy++
			return t, 0
		}
		o.waiting = append(o.waiting, t)
	}
	return nil, longestNap
}

// leave gives back the place of a task. It goes to the owner's next one, behind
// what is due by now: those of others.
func (j *jobs) leave(t *task, now instant) {
	j.mu.Lock()
	defer j.mu.Unlock()
	name := dnsname.Parent(t.domain)
	o := j.owners[name]
	o.busy--
	switch {
	case len(o.waiting) > 0:
		next := o.waiting[0]
		o.waiting[0], o.waiting = nil, o.waiting[1:]
		next.due = now
		j.push(next)
	case o.busy == 0:
		delete(j.owners, name)
	}
}

// again puts a task back, to be looked at when its due time has come.
func (j *jobs) again(t *task) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.push(t)
}

// push needs mu.
func (j *jobs) push(t *task) {
	pq.Push(&j.queue, t)
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// end is the last that is heard of a task: why it ended, nil where somebody
// accepted the report, and how many sessions that told of.
func (j *jobs) end(t *task, why error, sessions int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.Pending--
	c := j.stats.of(why)
	c.Reports++
	c.Sessions += uint64(sessions)
	if t.day.left--; t.day.left == 0 {
		t.day.mailboxes, t.day.hosts = nil, nil // no more of it to come
	}
}

// admit counts one more report of a day for a destination, or reports that it
// has had all it gets.
func (j *jobs) admit(t *task, g *target, perMailbox, perHost int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	d, host, mailbox := t.day, dnsname.Parent(g.host), withoutTag(mailboxKey(g.mailbox))
	from := dnsname.Parent(t.domain)
	if from == host {
		from = "" // their own: nobody else is kept out
	}
	if isFull(d.hosts, host, from, perHost) || mailbox != "" && isFull(d.mailboxes, mailbox, from, perMailbox) {
		return false
	}
	count(d.hosts, host, from)
	if mailbox != "" {
		count(d.mailboxes, mailbox, from)
	}
	return true
}

func isFull(counts map[quota]int, destination, owner string, limit int) bool {
	share := max(limit/ownersShare, 1)
	return counts[quota{destination, ""}] >= limit || owner != "" && counts[quota{destination, owner}] >= share
}

func count(counts map[quota]int, destination, owner string) {
	counts[quota{destination, ""}]++
	if owner != "" {
		counts[quota{destination, owner}]++
	}
}

// retry returns when to try again what failed so often.
func (j *jobs) retry(attempts int, now, limit instant) (next instant, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return nextTry(attempts, now, limit, j.rnd)
}

// chance returns a time by chance, below within.
func (j *jobs) chance(within time.Duration) time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	return time.Duration(j.rnd.Int64N(max(int64(within), 1)))
}

// count changes a counter.
func (j *jobs) count(f func(*ReporterStats)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f(&j.stats)
}

// taskQueue is a heap, by due time.
type taskQueue []*task

func (q taskQueue) Len() int           { return len(q) }
func (q taskQueue) Less(a, b int) bool { return q[a].due < q[b].due }
func (q taskQueue) Swap(a, b int)      { q[a], q[b] = q[b], q[a] }
func (q *taskQueue) Push(x any)        { *q = append(*q, x.(*task)) }
func (q *taskQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return last
}
