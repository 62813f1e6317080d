package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"
)

const (
	asideName = "aside"
	// maxAside is how many files are kept there for an operator to look at.
	maxAside = 1000
	// unknownFor is how long a key whose file was set aside is unknown and not
	// absent (R27). It is short, as mail may wait for it.
	unknownFor = time.Hour
)

// damaged tells files that are to be set aside from those that could not be read.
func damaged(err error) bool { return errors.Is(err, errTorn) || errors.Is(err, errForeign) }

// foundDamaged sets aside what a reader found, unless somebody has just replaced it.
func (o *openDir) foundDamaged(ctx context.Context, s spot, found error) error {
	l, err := o.lock(ctx, s.shard)
	if err == nil {
		defer l.unlock()
		if _, _, again := o.read(s); damaged(again) {
			l.setAside(s.name, again)
		}
	}
	if e := ctx.Err(); e != nil {
		return e
	}
	return fmt.Errorf("%w: %.128q: %w", ErrDamaged, s.key, found)
}

// absent says whether a key without a file is not there, or not known.
func (o *openDir) absent(s spot) error {
	info, err := o.disk.lstat(asideName + "/" + s.name)
	if err == nil && time.Since(info.ModTime()).Abs() < unknownFor {
		return fmt.Errorf("%w: %.128q", ErrDamaged, s.key)
	}
	if err == nil || missing(err) {
		_, err = o.disk.lstat(formatName)
	}
	if err != nil {
		// All of it is gone, or cannot be seen: that says nothing of the key.
		return fmt.Errorf("cache: reading %.128q: %w", s.key, err)
	}
	return ErrNotFound
}

// setAside moves a file out of the way of its shard, whose lock is held. Where that is
// not possible the file stays, and stays damaged.
func (l *locked) setAside(name string, why error) {
	o, from, to := l.o, shardName(l.shard)+"/"+name, asideName+"/"+name
	attrs := []slog.Attr{slog.String("file", clean(from)), slog.String("cause", why.Error())}
	_ = o.disk.mkdir(asideName)
	kept, err := listNames(o.disk, asideName)
	if err == nil {
		err = o.disk.removeAll(to) // an earlier one of that name
	}
	size := int64(0)
	if info, e := o.disk.lstat(from); e == nil {
		size = onDisk(info.Size())
	}
	switch _, ours := keyOf(name); {
	case err != nil:
	case len(kept) < maxAside:
		if err = o.move(from, to); err == nil {
			_ = o.disk.touch(to, time.Now())
		}
	case ours:
		attrs = append(attrs, slog.Bool("removed", true)) // a thousand others show what happens here
		err = o.disk.removeAll(from)
	default:
		err = errors.New("too many files are there already")
	}
	if err != nil {
		o.log.warn("a damaged file cannot be set aside", append(attrs, slog.String("error", clean(err.Error())))...)
		return
	}
	_ = l.charge(-size) // only now: what stays here goes on taking room
	o.log.warn("a damaged file was set aside", attrs...)
}

// move moves what is set aside. Of a symbolic link a note remains: to touch the link
// itself would touch what it leads to.
func (o *openDir) move(from, to string) error {
	info, err := o.disk.lstat(from)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return o.disk.rename(from, to)
	}
	return errors.Join(o.disk.removeAll(from), writeFile(o.disk, to, []byte("This was a symbolic link.\n")))
}

// clean returns foreign text as one line of printable ASCII.
func clean(s string) string {
	q := fmt.Sprintf("%+.256q", s)
	return q[1 : len(q)-1]
}

// limitedLog writes at most ten lines a minute, as whoever can damage one file can
// damage a million.
type limitedLog struct {
	logger *slog.Logger
	path   string

	mu      sync.Mutex
	minute  time.Time // when the current one began; guarded by mu, as are the next two
	lines   int
	dropped int
}

const linesPerMinute = 10

func (l *limitedLog) warn(msg string, attrs ...slog.Attr) { l.write(slog.LevelWarn, msg, attrs) }

func (l *limitedLog) write(level slog.Level, msg string, attrs []slog.Attr) {
	if l.logger == nil {
		return
	}
	l.mu.Lock()
	if now := time.Now(); now.Sub(l.minute).Abs() >= time.Minute {
		l.minute, l.lines = now, 0
	}
	l.lines++
	dropped := l.dropped
	if l.lines > linesPerMinute {
		l.dropped++
		l.mu.Unlock()
		return
	}
	l.dropped = 0
	l.mu.Unlock()
	if l.path != "" {
		attrs = append(attrs, slog.String("path", l.path))
	}
	if dropped > 0 {
		attrs = append(attrs, slog.Int("dropped", dropped)) // lines like this, since the last one
	}
	l.logger.LogAttrs(context.Background(), level, "cache: "+msg, attrs...)
}
