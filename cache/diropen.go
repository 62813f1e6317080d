package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"
)

const (
	// formatName is the file that says which layout the directory has.
	formatName = "strictmx-store"
	formatText = "strictmx-store 1\n"
)

// openDir is a Dir in use.
type openDir struct {
	disk     disk
	quota    int64
	worth    func(key string, value []byte) int
	log      limitedLog
	usage    diskFile
	locks    [shardCount]chan struct{} // each full while somebody in this process holds the shard's lock
	evicting chan struct{}             // full while somebody evicts
	calls    int                       // that use it; guarded by the Dir's mu
}

// openPath opens the directory of a Dir. Whatever its size, it looks at a few files alone.
func openPath(ctx context.Context, d *Dir) (*openDir, error) {
	if d.Path == "" {
		return nil, errors.New("a Dir needs a Path")
	}
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return nil, err
	}
	o := &openDir{disk: rootDisk{root}, quota: d.Quota, worth: d.Worth, log: limitedLog{logger: d.Logger, path: d.Path}}
	if d.wrapDisk != nil {
		o.disk = d.wrapDisk(o.disk)
	}
	if o.quota == 0 {
		o.quota = 1 << 30
	}
	o.evicting = make(chan struct{}, 1)
	for i := range o.locks {
		o.locks[i] = make(chan struct{}, 1)
	}
	if err := o.prepare(ctx, d.Path); err != nil {
		return nil, errors.Join(err, o.disk.close())
	}
	return o, nil
}

func (o *openDir) close() error {
	return errors.Join(o.usage.Close(), o.disk.close())
}

// prepare checks who may get at the directory and which layout it has, and
// gives a new one its own.
func (o *openDir) prepare(ctx context.Context, path string) error {
	info, err := o.disk.lstat(".")
	if err != nil {
		return err
	}
	if err := checkMode(path, info); err != nil { // R27
		return err
	}
	text, _, err := readFile(o.disk, formatName, 1024)
	switch {
	case missing(err):
		err = o.create(ctx)
	case err == nil && string(text) != formatText:
		if n, ok := strings.CutPrefix(string(text), fileMagic); ok && isNumber(strings.TrimSpace(n)) {
			return fmt.Errorf("%w: the directory %s", ErrNewerFormat, path)
		}
		// It was torn, or somebody has been at it. Each entry names its format, too.
		o.log.warn("the file that names the format was damaged and is written anew", slog.String("file", formatName))
		err = o.create(ctx)
	}
	if err != nil {
		return err
	}
	o.usage, err = o.disk.openFile(usageName, os.O_RDWR|os.O_CREATE)
	if errors.Is(err, fs.ErrPermission) || isReadOnly(err) {
		o.usage, err = o.disk.openFile(formatName, os.O_RDONLY) // what is there can still be read
	}
	return err
}

// create makes the layout. Several processes may do so at once: all make the same.
func (o *openDir) create(ctx context.Context) error {
	for i := range shardCount {
		if err := o.disk.mkdir(shardName(i)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := syncDir(o.disk, "."); err != nil {
		return err
	}
	l, err := o.lock(ctx, 0)
	if err != nil {
		return err
	}
	defer l.unlock()
	temp := shardName(0) + "/" + tempName
	if err := writeFile(o.disk, temp, []byte(formatText)); err != nil {
		return err
	}
	if err := o.disk.rename(temp, formatName); err != nil {
		return err
	}
	return syncDir(o.disk, ".")
}

// locked is a shard that nobody else changes, here or in another process.
type locked struct {
	o     *openDir
	shard int
	dir   diskFile
}

// lock waits for the lock of a shard, which is flock(2) on its directory: no
// file of its own that somebody could remove, and at hand for what is synced there.
func (o *openDir) lock(ctx context.Context, shard int) (*locked, error) {
	select {
	case o.locks[shard] <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l := &locked{o: o, shard: shard}
	for wait := time.Millisecond; ; wait = min(2*wait, 16*time.Millisecond) {
		held, err := l.try()
		if held {
			return l, nil
		}
		if err == nil {
			err = sleep(ctx, wait) // another process has it
		}
		if err != nil {
			<-o.locks[shard]
			return nil, err
		}
	}
}

// try takes the lock, unless another process has it.
func (l *locked) try() (held bool, err error) {
	name := shardName(l.shard)
	dir, err := l.o.disk.openFile(name, os.O_RDONLY)
	if missing(err) { // removed by hand
		if err := l.o.disk.mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
			return false, err
		}
		if err := syncDir(l.o.disk, "."); err != nil {
			return false, err
		}
		dir, err = l.o.disk.openFile(name, os.O_RDONLY)
	}
	if err != nil {
		return false, err
	}
	held, err = dir.tryLock()
	if held {
		// It may have been removed while we waited, and made anew by somebody else.
		held, err = l.current(dir, name)
	}
	if !held {
		return false, errors.Join(err, dir.Close())
	}
	l.dir = dir
	return true, nil
}

func (l *locked) current(dir diskFile, name string) (bool, error) {
	opened, err := dir.Stat()
	if err != nil {
		return false, err
	}
	named, err := l.o.disk.lstat(name)
	if missing(err) {
		return false, nil
	}
	return err == nil && os.SameFile(opened, named), err
}

func (l *locked) unlock() {
	_ = l.dir.Close() // it was opened for reading
	<-l.o.locks[l.shard]
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
