package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// Dir is a [Store], and a [Leaser], in a directory of a local disk. Only Path is
// required. A Dir must not be copied; its fields are read at the first use and fixed
// from then on.
//
// Each entry is a file whose name shows its key: "mtasts/example.com" is the file
// mtasts+example.com in one of 256 subdirectories, where find(1) sees it. It begins with a header in
// words, and after an empty line comes the value:
//
//	strictmx-store 1 5b0c...: the format, and the SHA-256 of all that follows this line
//	key mtasts/example.com
//	version 1795478400000000000
//	expires 2026-12-01T00:00:00Z
//	length 64
//
// An operator may look at the files, copy the directory while
// it is in use, and remove files or all of them.
// What is not understood is never believed: a file that is torn or foreign moves to the
// subdirectory "aside", with a warning, and one written by a newer release stays
// as it is.
//
// Several processes may use one directory, on the systems that have flock(2): Linux, macOS and
// the BSDs. Elsewhere, and on most network file systems, only one may.
//
// A call whose ctx ends returns, even where the disk hangs. For that it runs in a goroutine
// of its own; as long as 128 hang, others wait for their turn.
type Dir struct {
	// Path is the directory. If there is none, it is created, and only its owner
	// may enter; one that others may enter is refused.
	Path string

	// Quota is how many bytes the entries may take on disk, each file in full blocks of
	// 4 KiB. If zero, 1 GiB, which is 260,000 policies; if negative, there is no bound. To make
	// room, entries are evicted in this order: what has expired; what is worth least;
	// what was written longest ago. The order is that of a sample, and exact in a small directory.
	// Leases in force and files of newer releases are not evicted.
	Quota int64

	// Worth says what an entry is worth to its owner, who alone understands
	// the value: less goes first. It must not call the Dir. If nil, all are worth the same.
	Worth func(key string, value []byte) int

	// Logger is told what an operator should know. If nil, nobody is.
	Logger *slog.Logger

	mu     sync.Mutex
	open   *openDir // guarded by mu, as are the next two; nil before the first use
	closed bool
	calls  int // that are running, on whatever openDir

	once    sync.Once     // makes the channels
	closing chan struct{} // closed by Close
	idle    chan struct{} // closed by the last call after that
	slots   chan struct{} // full while as many calls as may run in goroutines do
	opening chan struct{} // full while somebody opens

	wrapDisk func(disk) disk // for tests; nil: the disk as it is
}

const maxCalls = 128

var (
	// ErrDamaged: a file was torn or foreign and was set aside, so what the key
	// held is not known. It says so for an hour, or until the key is put or
	// deleted. Look for the value where it comes from, and do not take it for absent.
	ErrDamaged = errors.New("cache: a damaged file was set aside")
	// ErrNewerFormat: a newer release has written it. Use that one, or another
	// directory; or delete the key.
	ErrNewerFormat = errors.New("cache: written in a format of another release")
	// ErrFull: the quota is used up by what must not be evicted. Raise Quota.
	ErrFull = errors.New("cache: no room within the quota")
)

// Open does now what the first use would do: it creates or checks the directory. A
// program may call it to learn early of a wrong path. It reads no entry, however
// many there are.
func (d *Dir) Open() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // for another process that creates it
	defer cancel()
	o, err := d.begin(ctx)
	if err == nil {
		d.end(o, nil)
	}
	return err
}

// Close waits for the calls that are running and closes the directory. From
// then on every call returns [ErrClosed].
func (d *Dir) Close() error {
	d.once.Do(d.init)
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		close(d.closing)
		if d.calls == 0 {
			close(d.idle)
		}
	}
	d.mu.Unlock()
	<-d.idle
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.open
	if d.open = nil; o != nil {
		return o.close()
	}
	return nil
}

// begin returns the open directory, for a call that ends with end.
func (d *Dir) begin(ctx context.Context) (*openDir, error) {
	if o, err := d.enter(nil); o != nil || err != nil {
		return o, err
	}
	d.once.Do(d.init)
	select {
	case d.opening <- struct{}{}: // one at a time
		defer func() { <-d.opening }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if o, err := d.enter(nil); o != nil || err != nil {
		return o, err
	}
	opened, err := openPath(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err) // and the next call tries again
	}
	o, err := d.enter(opened)
	if err != nil {
		err = errors.Join(err, opened.close())
	}
	return o, err
}

func (d *Dir) init() {
	d.slots = make(chan struct{}, maxCalls)
	d.opening = make(chan struct{}, 1)
	d.closing = make(chan struct{})
	d.idle = make(chan struct{})
}

// enter counts a call on the open directory, which is opened if there was none.
func (d *Dir) enter(opened *openDir) (*openDir, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	if d.open == nil {
		d.open = opened
	}
	if d.open == nil {
		return nil, nil
	}
	d.calls++
	d.open.calls++
	return d.open, nil
}

// end ends a call, which came to err. If that says that something is missing
// which should always be there, the directory was removed, and the next call opens
// what is there now.
func (d *Dir) end(o *openDir, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if missing(err) && d.open == o {
		d.open = nil
	}
	if o.calls--; o.calls == 0 && d.open != o {
		_ = o.close()
	}
	if d.calls--; d.calls == 0 && d.closed {
		close(d.idle)
	}
}

// call runs f on the open directory until ctx ends. An f that is left behind ends by itself.
func call[T any](ctx context.Context, d *Dir, f func(*openDir) (T, error)) (none T, _ error) {
	if err := ctx.Err(); err != nil {
		return none, err
	}
	run := func() (v T, err error) {
		o, err := d.begin(ctx)
		if err != nil {
			return v, err
		}
		defer func() { d.end(o, err) }()
		return f(o)
	}
	if ctx.Done() == nil {
		return run()
	}
	d.once.Do(d.init)
	select {
	case d.slots <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-d.slots }()
		v, err := run()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// Get implements [Store]. Besides the errors named there it returns those of
// the file system, [ErrDamaged], [ErrNewerFormat] and [ErrClosed].
func (d *Dir) Get(ctx context.Context, key string) ([]byte, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	return call(ctx, d, func(o *openDir) ([]byte, error) { return o.get(ctx, spotOf(key)) })
}

// PutIfNewer implements [Store]. Besides the errors named there it returns those
// of the file system, such as that of a full disk, [ErrFull] and [ErrClosed]; and, where
// there is a file of a newer release, [ErrNewerFormat]: that file stays. A damaged one is set aside first.
func (d *Dir) PutIfNewer(ctx context.Context, key string, value []byte, version int64, expires time.Time) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if len(value) > MaxValue {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(value))
	}
	r := record{key: key, version: version, expires: inRange(expires), value: value}
	b := r.encode() // here: the call may be left behind, and value is the caller's
	r.value = nil
	_, err := call(ctx, d, func(o *openDir) (struct{}, error) { return struct{}{}, o.put(ctx, spotOf(key), r, b) })
	return err
}

// inRange returns a time that can be written down: years have four digits.
func inRange(expires time.Time) time.Time {
	switch {
	case expires.IsZero():
	case expires.Unix() < 0:
		return time.Unix(0, 0)
	case expires.Year() > 9999:
		return time.Time{} // never
	}
	return expires
}

// Delete implements [Store]. It removes also what was damaged or written by a
// newer release.
func (d *Dir) Delete(ctx context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	_, err := call(ctx, d, func(o *openDir) (struct{}, error) { return struct{}{}, o.delete(ctx, spotOf(key)) })
	return err
}

// Keys implements [Store]. It reads one subdirectory at a time, and the names of
// files alone, unless a key is over 100 bytes long.
func (d *Dir) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for shard := range shardCount {
			keys, err := call(ctx, d, func(o *openDir) ([]string, error) { return o.keys(ctx, shard, prefix) })
			for _, key := range keys {
				if err := ctx.Err(); err != nil {
					yield("", err)
					return
				}
				if !yield(key, nil) {
					return
				}
			}
			if err != nil {
				yield("", err)
				return
			}
		}
	}
}

// get reads an entry, without any lock: a file is replaced as a whole.
func (o *openDir) get(ctx context.Context, s spot) ([]byte, error) {
	r, _, err := o.read(s)
	switch {
	case err == nil && r.over(time.Now()):
		return nil, ErrNotFound
	case err == nil:
		return r.value, nil
	case missing(err):
		return nil, o.absent(s)
	case damaged(err):
		return nil, o.foundDamaged(ctx, s, err)
	}
	return nil, fmt.Errorf("cache: reading %.128q: %w", s.key, err)
}

// read returns the entry in a file, and the size of the file on disk.
func (o *openDir) read(s spot) (record, int64, error) {
	b, info, err := readFile(o.disk, s.path(), maxFileSize)
	size := int64(0)
	if info != nil {
		size = onDisk(info.Size())
	}
	if err != nil {
		return record{}, size, err
	}
	r, err := decode(b)
	if err == nil && r.key != s.key {
		err = errForeign // somebody has copied or renamed it
	}
	return r, size, err
}

// put is PutIfNewer for a record whose file is b.
func (o *openDir) put(ctx context.Context, s spot, r record, b []byte) error {
	if err := o.makeRoom(ctx, onDisk(int64(len(b)))); err != nil {
		return fmt.Errorf("cache: storing %.128q: %w", s.key, err)
	}
	l, err := o.lock(ctx, s.shard)
	if err != nil {
		return fmt.Errorf("cache: storing %.128q: %w", s.key, err)
	}
	defer l.unlock()
	old, size, err := o.read(s)
	switch {
	case err == nil && old.version >= r.version && !old.over(time.Now()):
		// Whoever wrote it may not have come to this.
		err = syncOf(l.dir)
	case damaged(err):
		l.setAside(s.name, err)
		err = o.replace(ctx, l, s, 0, b)
	case err == nil || missing(err):
		err = o.replace(ctx, l, s, size, b)
	}
	if err != nil {
		return fmt.Errorf("cache: storing %.128q: %w", s.key, err)
	}
	return nil
}

// replace puts a new file in the place of one that takes oldSize. Until the rename nothing
// has happened; after it nothing is lost.
func (o *openDir) replace(ctx context.Context, l *locked, s spot, oldSize int64, b []byte) error {
	temp := shardName(s.shard) + "/" + tempName
	if err := writeFile(o.disk, temp, b); err != nil {
		return err
	}
	err := ctx.Err() // the last moment at which the caller can still change its mind
	if err == nil {
		err = l.charge(onDisk(int64(len(b))) - oldSize)
	}
	if err == nil {
		err = o.disk.rename(temp, s.path())
	}
	if err != nil {
		_ = o.disk.removeAll(temp)
		return err
	}
	return syncOf(l.dir)
}

// delete is Delete.
func (o *openDir) delete(ctx context.Context, s spot) error {
	l, err := o.lock(ctx, s.shard)
	if err == nil {
		defer l.unlock()
		err = o.remove(l, s)
	}
	if err == nil {
		err = errors.Join(syncOf(l.dir), o.disk.removeAll(asideName+"/"+s.name))
	}
	if err != nil {
		return fmt.Errorf("cache: deleting %.128q: %w", s.key, err)
	}
	return nil
}

// remove removes a file, if there is one.
func (o *openDir) remove(l *locked, s spot) error {
	info, err := o.disk.lstat(s.path())
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := o.disk.removeAll(s.path()); err != nil {
		return err
	}
	return l.charge(-onDisk(info.Size()))
}

// keys lists one shard. Its lock is held, so that no file is renamed meanwhile
// and missed or seen twice.
func (o *openDir) keys(ctx context.Context, shard int, prefix string) ([]string, error) {
	names, err := o.names(ctx, shard)
	if err != nil {
		return nil, fmt.Errorf("cache: listing keys: %w", err)
	}
	var keys []string
	for _, name := range names {
		key, ok := keyOf(name)
		if ok && key == "" {
			_, r, err := o.readNamed(shard, name)
			if unreadable(err) {
				return keys, fmt.Errorf("cache: listing keys: %w", err)
			}
			if err != nil {
				continue // gone, or no entry
			}
			key = r.key
		}
		if ok && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// readNamed reads the file of that name in a shard, and says where its entry or
// lease belongs, which is there. A name that none can have is errForeign.
func (o *openDir) readNamed(shard int, name string) (spot, record, error) {
	of, plain := spotOf, name
	if rest, ok := strings.CutPrefix(name, leaseMark); ok {
		of, plain = leaseSpot, rest
	}
	s := spot{shard: shard, name: name}
	if _, ok := keyOf(plain); !ok {
		return s, record{}, errForeign
	}
	b, _, err := readFile(o.disk, s.path(), maxFileSize)
	if err != nil {
		return s, record{}, err
	}
	r, err := decode(b)
	if err != nil {
		return s, record{}, err
	}
	if s = of(r.key); s.shard != shard || s.name != name {
		return s, record{}, errForeign
	}
	return s, r, nil
}

// unreadable tells a file that nothing is known of from one that is no entry, or none of this release, or is gone.
func unreadable(err error) bool {
	return err != nil && !missing(err) && !damaged(err) && !errors.Is(err, ErrNewerFormat)
}

func (o *openDir) names(ctx context.Context, shard int) ([]string, error) {
	l, err := o.lock(ctx, shard)
	if err != nil {
		return nil, err
	}
	defer l.unlock()
	return listNames(o.disk, shardName(shard))
}

func listNames(d disk, dir string) ([]string, error) {
	f, err := d.openFile(dir, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}
