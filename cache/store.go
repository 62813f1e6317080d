package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Store keeps opaque values under keys, and keeps them when the process ends.
// One place, such as a directory or a server, may be behind many Stores, in many
// processes, at once: all of them see the same entries. [Dir] is one;
// package storetest holds this contract as tests that any other can run.
//
// A key is a path such as "mtasts/example.com"; [CheckKey] says which are valid.
// Two keys are the same only if every byte is. A value is at most [MaxValue]
// bytes, and none at all is a value, too.
//
// An entry has a version, by which [Store.PutIfNewer] decides, and a time at
// which it expires. From that time on there is no such entry any more, and its
// version counts for nothing. A store may also have a bound of its own, and evict entries
// to make room; then it is as though they had never been there.
//
// Every method may be called at once from many goroutines. It returns ctx's
// error soon after ctx ends, and has done nothing if ctx had ended before. An
// error that wraps [ErrKey], [ErrTooLarge] or ctx's error is the caller's. Any
// other but [ErrNotFound] means that the store does not know: it never means that
// there is nothing.
type Store interface {
	// Get returns the value of key, which is the caller's to change. With
	// ErrNotFound there is none, or it has expired.
	Get(ctx context.Context, key string) ([]byte, error)

	// PutIfNewer sets the value of key, its version and when it expires (the zero
	// time: never), if there is no entry or one of a lower version. Where there is one of the
	// same or a higher version, it changes nothing, neither value nor expiry,
	// and returns nil as well: nil means that what the store holds is at least as
	// new as this, and durable, so that a crash of the process or the machine does
	// not lose it. Of many calls at once, from whatever process, the highest version wins.
	//
	// With an error the entry is the old one or the new one, whole in either case; with
	// ctx's error it may become the new one a little later. An entry that has
	// expired when it is put replaces an older one, too: then there is none. A
	// store may end an entry up to a millisecond before it expires, and no later.
	// value is not kept or changed.
	PutIfNewer(ctx context.Context, key string, value []byte, version int64, expires time.Time) error

	// Delete removes key, durably when it returns nil, also if there is no such
	// key. Its version is forgotten, so whoever still holds an old value can put it back.
	Delete(ctx context.Context, key string) error

	// Keys yields the keys that begin with prefix, in no particular order; an empty
	// prefix is that of all. Each key whose entry is there from the beginning to the end
	// is yielded exactly once. One that comes, goes or expires meanwhile may be yielded, once,
	// or not; one that has expired but is not yet cleared away may be, too. No lock is
	// held while the loop runs: it may call every method, as may others. An error comes
	// with an empty key and is the last that is yielded.
	Keys(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// Leaser is what a [Store] may be besides: it grants leases, so that of many
// processes one does a thing. A lease ends by itself, so a holder that dies
// needs nobody to clean up after it.
//
// Clocks are the limit of that. A lease lasts as long as the clock of the store says,
// which for a [Dir] is the machine's: if that is set forward, the lease ends early and two may work
// at once. A holder that was suspended does not know that it has lost its lease. So a
// lease saves work; it must not be what correctness rests on.
type Leaser interface {
	// Lease takes the lease of that name for holder until ttl from now, or extends it
	// if holder has it already, and reports whether holder has it. If not, somebody else does, and has it
	// still. Who takes long over it counts ttl from before the call, and calls again well
	// before it is over, say at a third.
	//
	// Names and holders obey [CheckKey]. Names of leases and keys of entries have nothing to do with each
	// other. A holder is one process, or one part of it: two that use the same name share the lease.
	// ttl is positive and rounded up to milliseconds.
	Lease(ctx context.Context, name, holder string, ttl time.Duration) (held bool, err error)

	// Release ends the lease if holder has it, and does nothing if not.
	Release(ctx context.Context, name, holder string) error
}

const (
	// MaxKey is how many bytes a key may have.
	MaxKey = 512
	// MaxValue is how many bytes a value may have. It bounds what a reader has to
	// expect; a policy has at most 64 KiB (RFC 8461, section 3.3).
	MaxValue = 1 << 20
)

var (
	// ErrNotFound: there is no entry. Look for it where it comes from.
	ErrNotFound = errors.New("cache: not found")
	// ErrKey: the key can never be one; [CheckKey] says why. Correct the caller.
	ErrKey = errors.New("cache: not a valid key")
	// ErrTooLarge: the value is over the limit. Keep less.
	ErrTooLarge = errors.New("cache: value too large")
	// ErrClosed: the store was closed. Stop using it.
	ErrClosed = errors.New("cache: closed")
)

// CheckKey returns nil if key is valid, else an error that wraps [ErrKey]. Valid are 1
// to [MaxKey] bytes of printable ASCII without blanks, split by "/" into parts
// none of which is empty, "." or "..".
func CheckKey(key string) error {
	if len(key) > MaxKey {
		return fmt.Errorf("%w: %d bytes, of which %d are allowed", ErrKey, len(key), MaxKey)
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return fmt.Errorf("%w: %.128q has a byte that is not printable ASCII", ErrKey, key)
		}
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("%w: %.128q has a part %q", ErrKey, key, part)
		}
	}
	return nil
}
