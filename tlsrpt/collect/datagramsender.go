package collect

import (
	"context"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	lastWords = time.Second // for what is queued when Run ends
	sayEvery  = time.Minute

	maxWait    = 5 * time.Minute // of a session: it is counted on the day that it is told
	restBusy   = time.Second     // until a lookup is tried again
	restSilent = minSilence
	// One parent, a registrable domain, may take this share of the places of those
	// that wait for DNS, which is as slow as it likes, and always a few.
	parentRoom    = 64
	minParentRoom = 4
	// Those that DNS did not answer for have this share: what is asked for the first
	// time is likely to be known at once, and is not to be kept out by them.
	restingRoom = 4
)

// sender is what one Run works with.
type sender struct {
	d   *Datagram
	out outbox
	buf []byte

	// The sessions whose domain's record is not known yet.
	rooms   map[string]*room // by domain
	parents map[string]int   // sessions waiting, by parent
	held    int              // sessions waiting, in all
	todo    []string         // domains to be looked up
	flying  int              // lookups in the air
	resting int              // rooms that wait to be tried again
	idle    int              // sessions in those
	landed  chan landing

	down   bool      // the operator was told that the daemon is lost
	warned time.Time // and when
}

// room is where the sessions of one domain wait for its record.
type room struct {
	events  []observed
	since   time.Time // the first of them
	next    time.Time // while resting: when to try again
	resting bool
}

type landing struct {
	domain string
	found  found
	err    error
}

func newSender(d *Datagram, out outbox) *sender {
	return &sender{
		d: d, out: out,
		rooms: make(map[string]*room), parents: make(map[string]int), landed: make(chan landing),
	}
}

func (w *sender) run(ctx context.Context) {
	rest := time.NewTimer(time.Hour)
	rest.Stop()
	defer rest.Stop()
	armed := false
	for ctx.Err() == nil {
		if w.resting > 0 && !armed {
			rest.Reset(restBusy)
			armed = true
		}
		select {
		case e := <-w.d.queue:
			w.event(ctx, e)
		case l := <-w.landed:
			w.land(ctx, l)
		case <-rest.C:
			armed = false
			w.wake(time.Now())
		case <-ctx.Done():
		}
		w.fly(ctx)
	}
	w.finish(ctx)
}

// event sends a session if it is known that somebody wants to hear of it, and
// lets it wait if nothing is known.
func (w *sender) event(ctx context.Context, e observed) {
	f, ok := w.d.records.known(e.Domain)
	if !ok || f.silent {
		w.hold(ctx, e)
		return
	}
	w.tell(ctx, &e, f)
}

// tell sends a session to the daemon, unless nobody wants to hear of it.
func (w *sender) tell(ctx context.Context, e *observed, f found) {
	switch {
	case f.unwanted():
		w.d.done(fateUnwanted, 1)
		return
	case time.Since(e.at) >= maxWait:
		w.d.done(fateLate, 1)
		return
	}
	w.buf = appendDatagram(w.buf[:0], &e.Event, tlsrpt.Record{RUA: f.rua}.String(), w.d.MaskSendingIP)
	err := w.send(ctx, w.buf)
	w.report(err)
	switch err {
	case nil:
		w.d.done(fateSent, 1)
	case errFull:
		w.d.done(fateBusy, 1)
	default:
		w.d.done(fateFailed, 1)
	}
}

// report tells the operator when the daemon is lost, at most once a minute, and
// when it is found again.
func (w *sender) report(err error) {
	switch {
	case err == nil && w.down:
		w.down = false
		w.d.logger.Info("the TLS-RPT collector daemon takes datagrams again", "path", w.d.Path)
	case err != nil && (w.warned.IsZero() || time.Since(w.warned) >= sayEvery):
		st := w.d.Stats()
		w.d.logger.Warn("the TLS-RPT collector daemon takes no datagrams: sessions are lost", "path", w.d.Path, "error", err,
			"busy", st.Busy, "failed", st.Failed)
		w.down, w.warned = true, time.Now()
	}
}

// hold lets a session wait for its domain's record. Without room, a record that was
// known lately has to do.
func (w *sender) hold(ctx context.Context, e observed) {
	parent := dnsname.Parent(e.Domain)
	if places := cap(w.d.queue); w.held >= places || w.parents[parent] >= max(places/parentRoom, minParentRoom) {
		if f, ok := w.d.records.recalled(e.Domain); ok {
			w.tell(ctx, &e, f)
			return
		}
		w.d.done(fateOverflow, 1)
		return
	}
	x := w.rooms[e.Domain]
	if x == nil {
		x = &room{since: e.at}
		w.rooms[e.Domain] = x
		w.todo = append(w.todo, e.Domain)
	}
	x.events = append(x.events, e)
	w.parents[parent]++
	w.held++
	if x.resting {
		w.idle++
		w.makeRoom()
	}
}

// fly starts the lookups that there are places for.
func (w *sender) fly(ctx context.Context) {
	for w.flying < maxLookups && len(w.todo) > 0 {
		domain := w.todo[0]
		w.todo = w.todo[1:]
		w.flying++
		go func() {
			f, err := w.d.records.lookup(ctx, domain)
			w.landed <- landing{domain, f, err}
		}()
	}
}

// land lets a domain's sessions go, if its record is known now.
func (w *sender) land(ctx context.Context, l landing) {
	w.flying--
	x := w.rooms[l.domain]
	if l.err != nil {
		x.resting, x.next = true, time.Now().Add(restSilent)
		if l.err == errBusy {
			x.next = time.Now().Add(restBusy)
		}
		w.resting++
		w.idle += len(x.events)
		w.makeRoom()
		return
	}
	w.clear(l.domain, x)
	for i := range x.events {
		w.tell(ctx, &x.events[i], l.found)
	}
}

// wake has the records looked up whose domains have rested, and gives up those
// that waited for too long.
func (w *sender) wake(now time.Time) {
	for domain, x := range w.rooms {
		switch {
		case !x.resting:
		case now.Sub(x.since) >= maxWait:
			w.giveUp(domain, x)
		case !now.Before(x.next):
			w.rise(x)
			w.todo = append(w.todo, domain)
		}
	}
}

// makeRoom gives up those that have waited for the longest while DNS does not
// answer, until the others have no more than their share.
func (w *sender) makeRoom() {
	for w.idle > max(cap(w.d.queue)/restingRoom, 1) {
		var domain string
		var oldest *room
		for name, x := range w.rooms {
			if x.resting && (oldest == nil || x.since.Before(oldest.since)) {
				domain, oldest = name, x
			}
		}
		w.giveUp(domain, oldest)
	}
}

func (w *sender) giveUp(domain string, x *room) {
	w.rise(x)
	w.clear(domain, x)
	w.d.done(fateUnknown, len(x.events))
}

// rise ends the rest of a room.
func (w *sender) rise(x *room) {
	x.resting = false
	w.resting--
	w.idle -= len(x.events)
}

func (w *sender) clear(domain string, x *room) {
	delete(w.rooms, domain)
	parent := dnsname.Parent(domain)
	if w.parents[parent] -= len(x.events); w.parents[parent] == 0 {
		delete(w.parents, parent)
	}
	w.held -= len(x.events)
}

// finish is the end of Run: what is known to be wanted is still sent, if that is
// quickly done.
func (w *sender) finish(ctx context.Context) {
	for ; w.flying > 0; w.flying-- {
		<-w.landed // ctx ended for them as well
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	for _, x := range w.rooms {
		for i := range x.events {
			w.last(ctx, &x.events[i])
		}
	}
	for range len(w.d.queue) {
		e := <-w.d.queue
		w.last(ctx, &e)
	}
}

func (w *sender) last(ctx context.Context, e *observed) {
	switch f, ok := w.d.records.known(e.Domain); {
	case !ok || f.silent:
		w.d.done(fateUnknown, 1)
	case ctx.Err() != nil:
		w.d.done(fateFailed, 1)
	default:
		w.tell(ctx, e, f)
	}
}
