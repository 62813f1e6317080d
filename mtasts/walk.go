package mtasts

import (
	"context"
	"fmt"
	"time"
)

const (
	walkRound = 100 // entries
	walkPause = 100 * time.Millisecond
	walkFails = 10 // in a row, until the Store is left alone
	walkAgain = 10 * time.Minute
)

// walk brings into memory what the Store holds of policies that were used in the
// last 30 days, at a thousand entries a second and as far as there is room, so
// that they are renewed though nobody asked for them since the start. Where the
// Store cannot be read, it does so later.
func (c *Client) walk(ctx context.Context) {
	for {
		_, err := protect(func() (struct{}, error) { return struct{}{}, c.walkOnce(ctx) })
		if err == nil || ctx.Err() != nil {
			return
		}
		c.trouble("the policies in the store cannot be listed", "", err)
		if !pause(ctx, walkAgain) {
			return
		}
	}
}

func (c *Client) walkOnce(ctx context.Context) error {
	seen, fails := 0, 0
	for key, err := range c.Store.Keys(ctx, entryPrefix) {
		if err != nil {
			return err
		}
		if seen++; seen%walkRound == 0 && !pause(ctx, walkPause) {
			return ctx.Err()
		}
		name := entryDomain(key)
		if _, ok := c.snapshot(name); ok || name == "" {
			continue
		}
		h, err := c.load(c.Store, name)
		switch {
		case err != nil:
			if fails++; fails == walkFails {
				return fmt.Errorf("%s and others: %w", name, err)
			}
			continue
		case h != nil && h.lives(c.clock.now()) && !c.unused(h, c.clock.now()):
			c.adopt(h, true)
		}
		fails = 0
	}
	return ctx.Err()
}

// pause waits, and reports whether ctx is still on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// alsoWalk starts a walk, and returns what ends it and waits for it.
func (c *Client) alsoWalk(ctx context.Context) (stop func()) {
	if c.Store == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(c.ctx, cancel)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.walk(ctx)
	}()
	return func() {
		unhook()
		cancel()
		<-done
	}
}
