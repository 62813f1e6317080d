package cache

import (
	"context"
	"fmt"
	"time"
)

// Lease implements [Leaser]. The lease is a file beside the entries. If the clock of the machine is set
// back by more than ttl, the lease ends, as nobody could say when it should.
func (d *Dir) Lease(ctx context.Context, name, holder string, ttl time.Duration) (bool, error) {
	if err := checkLease(name, holder); err != nil {
		return false, err
	}
	if ttl <= 0 {
		return false, fmt.Errorf("cache: leasing %.128q: a ttl of %v", name, ttl)
	}
	held, err := call(ctx, d, func(o *openDir) (bool, error) { return o.lease(ctx, name, holder, ttl) })
	if err != nil {
		return false, fmt.Errorf("cache: leasing %.128q: %w", name, err)
	}
	return held, nil
}

// Release implements [Leaser].
func (d *Dir) Release(ctx context.Context, name, holder string) error {
	if err := checkLease(name, holder); err != nil {
		return err
	}
	_, err := call(ctx, d, func(o *openDir) (bool, error) {
		return o.removeIf(ctx, leaseSpot(name), func(r record, err error) bool { return err == nil && string(r.value) == holder })
	})
	if err != nil {
		return fmt.Errorf("cache: releasing %.128q: %w", name, err)
	}
	return nil
}

func checkLease(name, holder string) error {
	if err := CheckKey(name); err != nil {
		return fmt.Errorf("name of a lease: %w", err)
	}
	if err := CheckKey(holder); err != nil {
		return fmt.Errorf("holder of a lease: %w", err)
	}
	return nil
}

// lease is Lease. Of the record, the version is when the lease was taken, and the
// value is the holder.
func (o *openDir) lease(ctx context.Context, name, holder string, ttl time.Duration) (bool, error) {
	s := leaseSpot(name)
	if err := o.makeRoom(ctx, block); err != nil {
		return false, err
	}
	l, err := o.lock(ctx, s.shard)
	if err != nil {
		return false, err
	}
	defer l.unlock()
	r, size, err := o.read(s)
	switch {
	case damaged(err):
		l.setAside(s.name, err)
		size = 0
	case err == nil && string(r.value) != holder && !leaseOver(r, time.Now()):
		return false, nil
	case err != nil && !missing(err):
		return false, err
	}
	now := time.Now() // after any waiting
	r = record{key: name, version: now.UnixNano(), expires: now.Add(ttl), value: []byte(holder)}
	return true, o.replace(ctx, l, s, size, r.encode())
}

// leaseOver reports whether a lease has ended: its time has come, or it was
// taken so long after now that the clock must have been set back.
func leaseOver(r record, now time.Time) bool {
	taken := time.Unix(0, r.version)
	return r.over(now) || now.Before(taken.Add(-r.expires.Sub(taken)))
}
