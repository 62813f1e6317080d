package mtasts

import (
	"context"
	"errors"
	"time"

	"github.com/strictmx/strictmx/cache"
	"github.com/strictmx/strictmx/internal/dnsname"
)

// ErrStore: keep the message and try later, and see to the Store. What it holds
// of the domain could not be read, and no policy was found elsewhere, so nobody
// knows whether one is in force. It never means "no policy".
var ErrStore = errors.New("mtasts: the store cannot be read")

const (
	readLimit  = 2 * time.Second
	writeLimit = time.Second
	// readAgain is until a domain's entry that could not be read is tried again.
	readAgain = 10 * time.Second

	readPlaces  = 64 // at a time, whoever for; R10
	writePlaces = 32
)

var (
	errStoreSlow = errors.New("mtasts: no answer in time")
	errStoreBusy = errors.New("mtasts: too many calls at a time")
)

// storeError says what failed.
type storeError struct{ cause error }

func (e *storeError) Error() string   { return ErrStore.Error() + " (" + e.cause.Error() + ")" }
func (e *storeError) Unwrap() []error { return []error{ErrStore, e.cause} }

// callStore calls a Store on a place of the pool, and waits for the answer for so
// long and no longer, whatever the Store does. A call that does not end keeps its
// place until it does, so that there are never many. No error is a context's (R34).
func callStore[T any](c *Client, pool *workPool, domain string, limit time.Duration, call func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var zero T
	ctx, cancel := context.WithTimeout(c.ctx, limit)
	defer cancel()
	release, err := pool.acquire(ctx, dnsname.Parent(domain))
	if err != nil {
		return zero, errStoreBusy
	}
	answered := make(chan answer, 1)
	c.jobs.run(func() {
		a := answer{err: errExit}
		defer func() { answered <- a }()
		a.value, a.err = protect(func() (T, error) { return call(ctx) })
	}, release)
	select {
	case a := <-answered:
		if a.err != nil && ctx.Err() != nil {
			a.err = errStoreSlow
		}
		return a.value, a.err
	case <-ctx.Done():
		return zero, errStoreSlow
	}
}

// load reads what a Store holds of a domain. Nil and no error: nothing of use.
func (c *Client) load(s cache.Store, domain string) (*held, error) {
	value, err := callStore(c, c.reads, domain, readLimit, func(ctx context.Context) ([]byte, error) {
		return s.Get(ctx, entryKey(domain))
	})
	switch {
	case errors.Is(err, cache.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return c.restore(domain, value)
}
