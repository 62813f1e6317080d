package mtasts

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// errLeft says that the caller who was to start a flight left before it had a
// place in the pool; whoever waits for it tries again.
var errLeft = errors.New("mtasts: the caller that was to look left")

// errExit is what callers get when work ended its goroutine.
var errExit = errors.New("mtasts: internal error: runtime.Goexit in a resolver, transport or hook")

// flights lets concurrent callers share one piece of work for a key. The work
// runs in a goroutine of its own, so that it outlives the caller that began it,
// and each caller may leave when its own context ends.
type flights[T any] struct {
	mu      sync.Mutex
	inAir   map[string]*flight[T]
	closed  bool
	running sync.WaitGroup
}

type flight[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// do returns what work returns for key. Of several callers, one takes a place
// by acquire, under its own context and before the goroutine exists, so that
// there are never more goroutines than places and callers (I15).
func (f *flights[T]) do(ctx context.Context, key string, acquire func(context.Context) (release func(), err error), work func() (T, error)) (T, error) {
	var zero T
	for {
		f.mu.Lock()
		if f.closed {
			f.mu.Unlock()
			return zero, ErrClosed
		}
		fl, joined := f.inAir[key]
		if !joined {
			fl = &flight[T]{done: make(chan struct{})}
			if f.inAir == nil {
				f.inAir = make(map[string]*flight[T])
			}
			f.inAir[key] = fl
			f.running.Add(1)
		}
		f.mu.Unlock()

		if !joined {
			release, err := acquire(ctx)
			if err == ErrBusy { // who joined has waited as long
				f.land(key, fl, zero, err)
				return zero, err
			}
			if err != nil {
				f.land(key, fl, zero, errLeft)
				return zero, err
			}
			go func() {
				value, err := zero, error(errExit)
				defer func() {
					release()
					f.land(key, fl, value, err)
				}()
				value, err = protect(work)
			}()
		}
		select {
		case <-fl.done:
			if fl.err != errLeft {
				return fl.value, fl.err
			}
		case <-ctx.Done():
			return zero, ctx.Err()
		}
	}
}

func (f *flights[T]) land(key string, fl *flight[T], value T, err error) {
	fl.value, fl.err = value, err
	f.mu.Lock()
	delete(f.inAir, key)
	f.mu.Unlock()
	close(fl.done)
	f.running.Done()
}

// close lets no more flights start, and waits for those in the air.
func (f *flights[T]) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.running.Wait()
}

// protect turns a panic, of a resolver or transport that a caller plugged in,
// into an error for all who wait (R20).
func protect[T any](work func() (T, error)) (value T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("mtasts: internal error: %w", &panicError{r})
		}
	}()
	return work()
}

type panicError struct{ value any }

func (e *panicError) Error() string { return "panic in a resolver, transport or hook" }

// jobs are goroutines that Close waits for.
type jobs struct {
	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// run starts f, and after it calls done; if the jobs were closed, only done.
func (j *jobs) run(f, done func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		done()
		return
	}
	j.wg.Go(func() {
		defer done()
		f()
	})
}

func (j *jobs) close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.wg.Wait()
}
