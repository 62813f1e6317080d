package mtasts

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/strictmx/strictmx/internal/ablation"
)

// workPool bounds how much of one kind of work is done at a time, and how much of
// it for one parent (R10).
type workPool struct {
	places *semaphore.Weighted
	share  int64
	mu     sync.Mutex
	shares map[string]*share
}

type share struct {
	places *semaphore.Weighted
	users  int
}

func newPool(size int64) *workPool {
	return &workPool{places: semaphore.NewWeighted(size), share: max(ablation.Kept(ablation.PoolShare, size/16, size), 1), shares: make(map[string]*share)}
}

// acquire takes a place for parent, and waits for one until ctx ends or
// maxWait is over.
func (p *workPool) acquire(ctx context.Context, parent string) (release func(), err error) {
	s := p.join(parent)
	wait, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	if err = s.places.Acquire(wait, 1); err == nil {
		if err = p.places.Acquire(wait, 1); err != nil {
			s.places.Release(1)
		}
	}
	if err != nil {
		p.leave(parent, s)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, ErrBusy
	}
	return p.releaser(parent, s), nil
}

// acquireIfShare waits for a place as acquire does, unless parent has its share
// of them now: then it fails with ErrBusy at once.
func (p *workPool) acquireIfShare(ctx context.Context, parent string) (release func(), err error) {
	s := p.join(parent)
	if !s.places.TryAcquire(1) {
		p.leave(parent, s)
		return nil, ErrBusy
	}
	if err := p.places.Acquire(ctx, 1); err != nil {
		s.places.Release(1)
		p.leave(parent, s)
		return nil, err
	}
	return p.releaser(parent, s), nil
}

// tryAcquire takes a place for parent if there is one now.
func (p *workPool) tryAcquire(parent string) (release func(), ok bool) {
	s := p.join(parent)
	if s.places.TryAcquire(1) {
		if p.places.TryAcquire(1) {
			return p.releaser(parent, s), true
		}
		s.places.Release(1)
	}
	p.leave(parent, s)
	return nil, false
}

func (p *workPool) releaser(parent string, s *share) func() {
	return func() {
		p.places.Release(1)
		s.places.Release(1)
		p.leave(parent, s)
	}
}

func (p *workPool) join(parent string) *share {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.shares[parent]
	if s == nil {
		s = &share{places: semaphore.NewWeighted(p.share)}
		p.shares[parent] = s
	}
	s.users++
	return s
}

func (p *workPool) leave(parent string, s *share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(p.shares, parent)
	}
}

func (p *workPool) placeFor(parent string) func(context.Context) (func(), error) {
	return func(ctx context.Context) (func(), error) { return p.acquire(ctx, parent) }
}
