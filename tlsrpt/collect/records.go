package collect

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/strictmx/strictmx/cache"
	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	recordLife    = time.Hour        // a record, and that there is none
	staleLife     = 24 * time.Hour   // the same, while DNS does not answer (RPT-23)
	minSilence    = 15 * time.Second // that DNS did not answer, doubling
	maxSilence    = 5 * time.Minute
	lookupTimeout = 10 * time.Second

	maxLookups       = 64 // at once
	maxParentLookups = 4  // of them for one parent, whose name servers may be slow on purpose
)

var (
	// errBusy: the domain's parent has its share of lookups now; try later.
	errBusy = errors.New("collect: too many lookups for one registrable domain")
	// errSilent: DNS did not answer a short while ago; try later.
	errSilent = errors.New("collect: DNS did not answer lately")
)

// records remembers who wants reports about which domain. The zero value works.
// Domains are given in canonical form.
type records struct {
	resolver tlsrpt.Resolver // nil: a zero resolver.Client
	capacity int             // domains remembered; 0: 100 000

	once   sync.Once
	base   time.Time // what instants count from, by the monotonic clock
	cache  cache.LRU[found]
	places chan struct{} // one taken for each lookup

	mu      sync.Mutex
	flights map[string]chan struct{} // by domain, closed when over; guarded by mu
	parents map[string]int           // lookups by parent; guarded by mu
}

// found is what is known of a domain.
type found struct {
	rua      []string      // where reports go; none: nobody wants them
	silent   bool          // nothing is known: DNS did not answer
	silences uint8         // how often it did not, in a row
	learned  time.Duration // when DNS answered last
	until    time.Duration // DNS is not asked again before
}

// unwanted says that nobody wants reports, which is not the same as that nothing
// is known.
func (f found) unwanted() bool { return !f.silent && len(f.rua) == 0 }

func (r *records) open() {
	r.once.Do(func() {
		if r.resolver == nil {
			r.resolver = new(resolver.Client)
		}
		r.base = time.Now()
		r.cache.Capacity = r.capacity
		r.places = make(chan struct{}, maxLookups)
		r.flights = make(map[string]chan struct{})
		r.parents = make(map[string]int)
	})
}

// known returns what there is in memory, and ok unless it is time to look up the
// record. It waits for nobody and does not allocate.
func (r *records) known(domain string) (f found, ok bool) {
	f, ok = r.cache.Get(domain)
	if !ok || time.Since(r.base) >= f.until {
		return found{}, false
	}
	return f, true
}

// recalled returns the record that was known last, and ok if it may still stand in
// for one that DNS does not give (RPT-23). It waits for nobody.
func (r *records) recalled(domain string) (f found, ok bool) {
	f, ok = r.cache.Get(domain)
	return f, ok && len(f.rua) > 0 && time.Since(r.base)-f.learned < staleLife
}

// lookup returns what is known, and asks DNS if it is time to. An error means that
// nothing could be learned now: errBusy, errSilent, that of DNS, or that of ctx.
// Callers who want to know about one domain share one lookup.
func (r *records) lookup(ctx context.Context, domain string) (found, error) {
	r.open()
	parent := dnsname.Parent(domain)
	for {
		r.mu.Lock()
		// Under the lock: a lookup that has just ended left something here.
		if f, ok := r.known(domain); ok {
			r.mu.Unlock()
			if f.silent {
				return found{}, errSilent
			}
			return f, nil
		}
		over, joined := r.flights[domain]
		if !joined {
			if r.parents[parent] >= maxParentLookups {
				r.mu.Unlock()
				return found{}, errBusy
			}
			over = make(chan struct{})
			r.flights[domain] = over
			r.parents[parent]++
		}
		r.mu.Unlock()

		if !joined {
			defer r.land(domain, parent, over)
			return r.fly(ctx, domain)
		}
		select {
		case <-over:
			// Known by now, unless the time of whoever asked was over.
		case <-ctx.Done():
			return found{}, ctx.Err()
		}
	}
}

// fly asks DNS, and remembers what came of it.
func (r *records) fly(ctx context.Context, domain string) (found, error) {
	select {
	case r.places <- struct{}{}:
		defer func() { <-r.places }()
	case <-ctx.Done():
		return found{}, ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	rec, err := r.ask(limited, domain)
	if ctx.Err() != nil {
		return found{}, ctx.Err() // and no word about DNS
	}
	var f found
	r.cache.Update(domain, func(old found, ok bool) (found, bool) {
		f = old.next(rec.RUA, err, time.Since(r.base), ok)
		return f, true
	})
	if f.silent {
		return found{}, err
	}
	return f, nil
}

// next is what is known after DNS was asked.
func (f found) next(rua []string, err error, now time.Duration, ok bool) found {
	if err == nil {
		return found{rua: rua, learned: now, until: now + recordLife}
	}
	if !ok || f.silent || now-f.learned >= staleLife {
		f.rua, f.silent = nil, true
	}
	f.until = now + min(minSilence<<min(f.silences, 10), maxSilence)
	f.silences = min(f.silences+1, 100)
	return f
}

// ask is one lookup. The resolver is the caller's.
func (r *records) ask(ctx context.Context, domain string) (rec tlsrpt.Record, err error) {
	err = protect("the Resolver", func() (err error) {
		rec, err = tlsrpt.Lookup(ctx, r.resolver, domain)
		return err
	})
	return rec, err
}

func (r *records) land(domain, parent string, over chan struct{}) {
	r.mu.Lock()
	delete(r.flights, domain)
	if r.parents[parent]--; r.parents[parent] == 0 {
		delete(r.parents, parent)
	}
	r.mu.Unlock()
	close(over)
}
