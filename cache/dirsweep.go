package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// sweepEvery is how often Run looks at each file.
const sweepEvery = 24 * time.Hour

// Run sweeps the directory once a day, a part every five minutes, until ctx ends, and returns
// ctx's error, or [ErrClosed]. Without it all works; what has expired
// then stays on the disk until the quota is used up. One process of those that share a directory is enough.
func (d *Dir) Run(ctx context.Context) error {
	d.once.Do(d.init)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for shard := rand.IntN(shardCount); ; shard = (shard + 1) % shardCount {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-d.closing:
			return ErrClosed
		}
		// An error is ctx's, or that of Close, or the disk's: of that, whoever uses the directory hears.
		_ = d.sweep(ctx, shard)
		timer.Reset(sweepEvery / shardCount)
	}
}

// Sweep looks at every file once: it removes what has expired, sets aside what
// is damaged or foreign, and counts what is left. It returns the first error.
func (d *Dir) Sweep(ctx context.Context) error {
	for shard := range shardCount {
		if err := d.sweep(ctx, shard); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dir) sweep(ctx context.Context, shard int) error {
	_, err := call(ctx, d, func(o *openDir) (struct{}, error) { return struct{}{}, o.sweep(ctx, shard) })
	return err
}

// sweep reads without the lock, which others wait for, and takes it for the few
// files that have to go.
func (o *openDir) sweep(ctx context.Context, shard int) error {
	names, err := o.names(ctx, shard)
	if err != nil {
		return fmt.Errorf("cache: sweeping: %w", err)
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := o.sweepFile(ctx, shard, name); err != nil {
			return fmt.Errorf("cache: sweeping: %w", err)
		}
	}
	l, err := o.lock(ctx, shard)
	if err != nil {
		return fmt.Errorf("cache: sweeping: %w", err)
	}
	defer l.unlock()
	// Who held the lock before has renamed or removed its temporary file, or died.
	err = o.disk.removeAll(shardName(shard) + "/" + tempName)
	var used int64
	if err == nil {
		used, err = l.count()
	}
	if err == nil {
		err = l.setUsage(used)
	}
	if err != nil {
		return fmt.Errorf("cache: sweeping: %w", err)
	}
	return nil
}

func (o *openDir) sweepFile(ctx context.Context, shard int, name string) error {
	if name == tempName {
		return nil
	}
	expired := func(r record, err error) bool { return err == nil && r.over(time.Now()) }
	s, r, err := o.readNamed(shard, name)
	if expired(r, err) {
		_, err := o.removeIf(ctx, s, expired)
		return err
	}
	if !damaged(err) {
		return nil // a good one; or it cannot be read, which who asks for it is told
	}
	l, err := o.lock(ctx, shard)
	if err != nil {
		return err
	}
	defer l.unlock()
	if _, _, err := o.readNamed(shard, name); damaged(err) {
		l.setAside(name, err)
	}
	return nil
}

func (s spot) isLease() bool { return strings.HasPrefix(s.name, leaseMark) }
