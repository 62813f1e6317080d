package cache

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

const (
	// usageName is a file with a line for each shard: the bytes it takes on disk. It is a
	// ledger, not the truth; who counts a shard writes it anew, and it is not synced.
	usageName   = "usage"
	usageLine   = "%015d\n"
	usageLength = 16

	block = 4096 // what most file systems give to the smallest file
	// sampleSize is among how many entries those to evict are sought.
	sampleSize = 4096
	// evictFor is how long they are sought, and what is left of an eviction when its
	// ctx has ended: on a slow disk a small sample is better than none in time.
	evictFor = 200 * time.Millisecond
)

// onDisk is what a file of that length takes.
func onDisk(length int64) int64 { return max((length+block-1)/block, 1) * block }

// charge notes that the shard takes so much more. It counts it first if nobody has.
func (l *locked) charge(delta int64) error {
	line := make([]byte, usageLength)
	offset := int64(l.shard * usageLength)
	n, _ := l.o.usage.ReadAt(line, offset)
	used, ok := parseUsage(line[:n])
	if !ok {
		var err error
		if used, err = l.count(); err != nil {
			return err
		}
	}
	return l.setUsage(used + delta)
}

func (l *locked) setUsage(used int64) error {
	_, err := l.o.usage.WriteAt(fmt.Appendf(nil, usageLine, max(used, 0)), int64(l.shard*usageLength))
	return err
}

func parseUsage(line []byte) (int64, bool) {
	line, ok := bytes.CutSuffix(line, []byte("\n"))
	if !ok || !isNumber(string(line)) {
		return 0, false
	}
	used, err := strconv.ParseInt(string(line), 10, 64)
	return used, err == nil
}

// count adds up what the files of a shard take, but for the temporary one.
func (l *locked) count() (used int64, err error) {
	names, err := listNames(l.o.disk, shardName(l.shard))
	for _, name := range names {
		if name == tempName {
			continue
		}
		if info, err := l.o.disk.lstat(shardName(l.shard) + "/" + name); err == nil {
			used += onDisk(info.Size())
		}
	}
	return used, err
}

// used adds up the ledger. Shards that nobody has counted yet are left out.
func (o *openDir) used() int64 {
	all := make([]byte, shardCount*usageLength)
	n, _ := o.usage.ReadAt(all, 0)
	total := int64(0)
	for line := range slices.Chunk(all[:n], usageLength) {
		used, _ := parseUsage(line)
		total += used
	}
	return total
}

// makeRoom evicts until there is room for so many bytes more.
func (o *openDir) makeRoom(ctx context.Context, size int64) error {
	if o.quota < 0 || o.used()+size <= o.quota {
		return nil
	}
	if size > o.quota {
		return fmt.Errorf("%w: %d bytes, of which %d are allowed", ErrFull, size, o.quota)
	}
	select {
	case o.evicting <- struct{}{}: // one at a time, or each would make room for all
		defer func() { <-o.evicting }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if o.used()+size <= o.quota {
		return nil
	}
	evicted := 0
	var err error
	began := time.Now()
	// A sixteenth more than needed, so that not every call has to do this.
	for goal := max(o.quota-o.quota/16-size, 0); err == nil && o.used() > goal; {
		var n int
		n, err = o.evict(ctx, goal)
		enough := o.used()+size <= o.quota && time.Since(began) >= evictFor
		if evicted += n; n == 0 || enough {
			break // the caller waits
		}
	}
	if evicted > 0 {
		o.log.warn("entries were evicted to stay within the quota", slog.Int("entries", evicted), slog.Int64("quota", o.quota))
	}
	if err == nil && o.used()+size > o.quota {
		err = fmt.Errorf("%w: %d bytes, %d of which are used", ErrFull, o.quota, o.used())
	}
	return err
}

// candidate is an entry that may be evicted.
type candidate struct {
	spot    spot
	version int64
	expired bool
	worth   int
	written time.Time
}

// evict looks at some shards, drawn at random so that nobody who chooses keys
// can choose what goes, and evicts an eighth of what it finds, or as much as is
// needed. What it found when its time was up or ctx ended is made use of: else
// no call would make room where none has the time to find all of it.
func (o *openDir) evict(ctx context.Context, goal int64) (evicted int, err error) {
	var sample []candidate
	until := time.Now().Add(evictFor)
	for _, shard := range rand.Perm(shardCount) {
		found, err := o.candidates(ctx, shard, until)
		sample = append(sample, found...)
		if err != nil && len(sample) == 0 {
			return 0, err
		}
		if err != nil || len(sample) >= sampleSize || len(sample) > 0 && time.Now().After(until) {
			break
		}
	}
	ctx, cancel := lasting(ctx, evictFor)
	defer cancel()
	slices.SortFunc(sample, func(a, b candidate) int {
		if a.expired != b.expired {
			if a.expired {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.worth, b.worth), a.written.Compare(b.written))
	})
	for _, c := range sample {
		if !c.expired && evicted > len(sample)/8 || o.used() <= goal {
			break
		}
		gone, err := o.removeIf(ctx, c.spot, func(r record, err error) bool { return err == nil && r.version == c.version })
		if err != nil {
			return evicted, err
		}
		if gone {
			evicted++
		}
	}
	return evicted, nil
}

// lasting returns a context that ends so much later than ctx.
func lasting(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}

// candidates counts a shard, as the ledger may be wrong, and reads what is in it, or
// some of it when the time is up or ctx ends.
func (o *openDir) candidates(ctx context.Context, shard int, until time.Time) (found []candidate, err error) {
	l, err := o.lock(ctx, shard)
	if err != nil {
		return nil, err
	}
	used, err := l.count()
	if err == nil {
		err = l.setUsage(used)
	}
	l.unlock()
	names, listErr := listNames(o.disk, shardName(shard))
	if err = errors.Join(err, listErr); err != nil {
		return nil, err
	}
	now := time.Now()
	for _, name := range names {
		if err := ctx.Err(); err != nil || len(found) > 0 && time.Now().After(until) {
			return found, err
		}
		s, r, err := o.readNamed(shard, name)
		if err != nil {
			continue // gone, foreign, damaged, or of a newer release
		}
		info, err := o.disk.lstat(s.path())
		if err != nil {
			continue
		}
		c := candidate{spot: s, version: r.version, expired: r.over(now), written: info.ModTime()}
		if s.isLease() && !c.expired {
			continue
		}
		if o.worth != nil && !c.expired {
			c.worth = o.worth(r.key, slices.Clip(r.value))
		}
		found = append(found, c)
	}
	return found, nil
}

// removeIf removes a file if what is in it, now that its shard is locked, is
// what the caller means.
func (o *openDir) removeIf(ctx context.Context, s spot, is func(record, error) bool) (bool, error) {
	l, err := o.lock(ctx, s.shard)
	if err != nil {
		return false, err
	}
	defer l.unlock()
	r, _, err := o.read(s)
	if unreadable(err) {
		return false, err
	}
	if !is(r, err) {
		return false, nil
	}
	return true, o.remove(l, s)
}
