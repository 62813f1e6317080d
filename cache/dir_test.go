package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// logOf is a Logger and what it was told. Both may be used at once.
type logOf struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logOf) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logOf) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logOf) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func newDir(tb testing.TB) *Dir {
	tb.Helper()
	return dirAt(tb, filepath.Join(tb.TempDir(), "store"))
}

func dirAt(tb testing.TB, path string) *Dir {
	d := &Dir{Path: path}
	tb.Cleanup(func() { d.Close() })
	return d
}

func put(tb testing.TB, d *Dir, key, value string, version int64) {
	tb.Helper()
	if err := d.PutIfNewer(tb.Context(), key, []byte(value), version, time.Now().Add(24*time.Hour)); err != nil {
		tb.Fatalf("PutIfNewer(%q): %v", key, err)
	}
}

func want(tb testing.TB, d *Dir, key, value string) {
	tb.Helper()
	if got, err := d.Get(tb.Context(), key); err != nil || string(got) != value {
		tb.Fatalf("Get(%q) = %.100q, %v; want %.100q", key, got, err, value)
	}
}

func wantErr(tb testing.TB, d *Dir, key string, want error) {
	tb.Helper()
	if got, err := d.Get(tb.Context(), key); !errors.Is(err, want) || got != nil {
		tb.Fatalf("Get(%q) = %.100q, %v; want %v", key, got, err, want)
	}
}

func fileOf(d *Dir, key string) string {
	return filepath.Join(d.Path, filepath.FromSlash(spotOf(key).path()))
}

func writeAs(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func TestOpen(t *testing.T) {
	t.Run("a new directory is for its owner alone", func(t *testing.T) { // R27
		d := dirAt(t, filepath.Join(t.TempDir(), "a", "b"))
		if err := d.Open(); err != nil {
			t.Fatal(err)
		}
		put(t, d, "a", "v", 1)
		err := filepath.WalkDir(d.Path, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("one that others may enter is refused", func(t *testing.T) { // R27
		for _, mode := range []os.FileMode{0o755, 0o750, 0o701, 0o720} {
			path := t.TempDir()
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			d := dirAt(t, path)
			if err := d.Open(); err == nil || !strings.Contains(err.Error(), "chmod 0700 "+path) {
				t.Errorf("mode %v: Open = %v, want an error that says what to do", mode, err)
			}
			if _, err := d.Get(t.Context(), "a"); err == nil || errors.Is(err, ErrNotFound) {
				t.Errorf("mode %v: Get = %v, want an error", mode, err)
			}
			if err := os.Chmod(path, 0o700); err != nil {
				t.Fatal(err)
			}
			put(t, d, "a", "v", 1) // the same Dir works as soon as it is right
		}
	})
	t.Run("a directory of a later release stays as it is", func(t *testing.T) {
		d := newDir(t)
		if err := os.Mkdir(d.Path, 0o700); err != nil {
			t.Fatal(err)
		}
		writeAs(t, filepath.Join(d.Path, formatName), "strictmx-store 2\n")
		if err := d.Open(); !errors.Is(err, ErrNewerFormat) {
			t.Errorf("Open = %v, want ErrNewerFormat", err)
		}
		wantErr(t, d, "a", ErrNewerFormat)
		if err := d.PutIfNewer(t.Context(), "a", nil, 1, time.Time{}); !errors.Is(err, ErrNewerFormat) {
			t.Errorf("PutIfNewer = %v, want ErrNewerFormat", err)
		}
		if all, _ := os.ReadDir(d.Path); len(all) != 1 {
			t.Errorf("%v was added", all)
		}
	})
	t.Run("what is torn in the middle of the first open is mended", func(t *testing.T) {
		var log logOf
		d := newDir(t)
		d.Logger = log.logger()
		put(t, d, "a", "v", 1)
		d.Close()
		writeAs(t, filepath.Join(d.Path, formatName), "stric")
		again := dirAt(t, d.Path)
		again.Logger = log.logger()
		want(t, again, "a", "v")
		if text, _ := os.ReadFile(filepath.Join(d.Path, formatName)); string(text) != formatText || !strings.Contains(log.String(), "format") {
			t.Errorf("the file says %q, the log %q", text, &log)
		}
	})
	t.Run("a Dir needs a path", func(t *testing.T) {
		if err := new(Dir).Open(); err == nil {
			t.Error("Open = nil")
		}
	})
	t.Run("a file is no directory", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "file")
		writeAs(t, name, "")
		if err := (&Dir{Path: name}).Open(); err == nil {
			t.Error("Open = nil")
		}
	})
}

func TestClose(t *testing.T) {
	d := newDir(t)
	put(t, d, "a", "v", 1)
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, d, "a", ErrClosed)
	if err := d.PutIfNewer(t.Context(), "a", nil, 2, time.Time{}); !errors.Is(err, ErrClosed) {
		t.Errorf("PutIfNewer = %v, want ErrClosed", err)
	}
	if err := d.Run(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Run = %v", err)
	}
	if err := new(Dir).Close(); err != nil {
		t.Errorf("Close of a Dir never used: %v", err)
	}
}

func TestARemovedDirectoryIsMadeAnew(t *testing.T) {
	d := newDir(t)
	put(t, d, "a", "v", 1)
	if err := os.RemoveAll(d.Path); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(t.Context(), "a"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("Get = %v; want an error once: what it held is not known", err)
	}
	wantErr(t, d, "a", ErrNotFound)
	put(t, d, "a", "v", 1)
	want(t, d, "a", "v")
	if err := os.RemoveAll(filepath.Dir(fileOf(d, "a"))); err != nil { // and a part of it
		t.Fatal(err)
	}
	wantErr(t, d, "a", ErrNotFound)
	put(t, d, "a", "v2", 1)
	want(t, d, "a", "v2")
}

func TestEntriesCanBeCopiedByHand(t *testing.T) {
	from, to := newDir(t), newDir(t)
	for i := range 50 {
		put(t, from, fmt.Sprintf("mtasts/%d.example", i), "v", 1)
	}
	if err := os.CopyFS(to.Path, os.DirFS(from.Path)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(to.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		want(t, to, fmt.Sprintf("mtasts/%d.example", i), "v")
	}
}

func TestTimesOutOfRange(t *testing.T) {
	d := newDir(t)
	for _, c := range []struct {
		expires time.Time
		there   bool
	}{
		{time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC), true},
		{time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), true},
		{time.Unix(math.MaxInt64/2, 0), true},
		{time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), false},
	} {
		if err := d.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if err := d.PutIfNewer(t.Context(), "a", []byte("v"), 1, c.expires); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Get(t.Context(), "a"); (err == nil) != c.there {
			t.Errorf("expires %v: Get = %v; want it there %v", c.expires, err, c.there)
		}
	}
}

// garbage makes something in the place of an entry.
var garbage = map[string]func(tb testing.TB, d *Dir, name string){
	"an empty file":          func(tb testing.TB, _ *Dir, name string) { writeAs(tb, name, "") },
	"half a file":            func(tb testing.TB, _ *Dir, name string) { os.Truncate(name, 100) },
	"another program's file": func(tb testing.TB, _ *Dir, name string) { writeAs(tb, name, "#!/bin/sh\n") },
	"a very large file":      func(tb testing.TB, _ *Dir, name string) { os.Truncate(name, 1<<40) },
	"a directory": func(tb testing.TB, _ *Dir, name string) {
		os.Remove(name)
		os.MkdirAll(filepath.Join(name, "sub"), 0o700)
	},
	"a link to nowhere": func(tb testing.TB, _ *Dir, name string) { os.Remove(name); os.Symlink("nowhere", name) },
	"a link out":        func(tb testing.TB, _ *Dir, name string) { os.Remove(name); os.Symlink("/etc/passwd", name) },
	"a named pipe":      func(tb testing.TB, _ *Dir, name string) { os.Remove(name); mkfifo(tb, name) },
	"another key's file": func(tb testing.TB, d *Dir, name string) {
		b, _ := os.ReadFile(fileOf(d, "other"))
		writeAs(tb, name, string(b))
	},
}

func TestGarbageIsSetAside(t *testing.T) { // R27
	for name, make := range garbage {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logOf
				d := newDir(t)
				d.Logger = log.logger()
				put(t, d, "other", "other", 1)
				put(t, d, "a", "v", 10)
				make(t, d, fileOf(d, "a"))
				wantErr(t, d, "a", ErrDamaged)
				aside, err := os.ReadDir(filepath.Join(d.Path, asideName))
				if err != nil || len(aside) != 1 || aside[0].Name() != "a" {
					t.Errorf("set aside is %v, %v; want a", aside, err)
				}
				if !strings.Contains(log.String(), "level=WARN") {
					t.Errorf("the log says %q", &log)
				}
				time.Sleep(unknownFor - time.Minute)
				wantErr(t, d, "a", ErrDamaged) // not absent: unknown
				time.Sleep(time.Minute)
				wantErr(t, d, "a", ErrNotFound)
				put(t, d, "a", "v2", 1)
				want(t, d, "a", "v2")
				want(t, d, "other", "other")
			})
		})
		t.Run(name+" gives way to what is put", func(t *testing.T) {
			d := newDir(t)
			put(t, d, "other", "other", 1)
			put(t, d, "a", "v", 10)
			make(t, d, fileOf(d, "a"))
			put(t, d, "a", "v2", 1)
			want(t, d, "a", "v2")
			make(t, d, fileOf(d, "a"))
			wantErr(t, d, "a", ErrDamaged)
			if err := d.Delete(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			wantErr(t, d, "a", ErrNotFound)
		})
		t.Run(name+" is swept aside", func(t *testing.T) {
			d := newDir(t)
			put(t, d, "other", "other", 1)
			put(t, d, "a", "v", 10)
			make(t, d, fileOf(d, "a"))
			if err := d.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantErr(t, d, "a", ErrDamaged)
			if names := keysOf(t, d); !slices.Equal(names, []string{"other"}) {
				t.Errorf("Keys yields %q", names)
			}
		})
	}
}

func keysOf(tb testing.TB, d *Dir) (keys []string) {
	tb.Helper()
	for key, err := range d.Keys(tb.Context(), "") {
		if err != nil {
			tb.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

func TestForeignFilesAreSweptAside(t *testing.T) {
	var log logOf
	d := newDir(t)
	d.Logger = log.logger()
	put(t, d, "a", "v", 1)
	long := strings.Repeat("x", 300)
	put(t, d, long, "v", 1)
	dir := filepath.Dir(fileOf(d, "a"))
	for _, name := range []string{"README", "a~", ".DS_Store", "b\x1b[2J", leaseMark + "b", tempName} {
		writeAs(t, filepath.Join(dir, name), "garbage")
	}
	// A long name that was moved to another shard, and a good file under another's long name.
	b, _ := os.ReadFile(fileOf(d, long))
	writeAs(t, filepath.Join(dir, filepath.Base(fileOf(d, long))), string(b))
	if got := keysOf(t, d); len(got) != 3 && len(got) != 2 { // README is a valid name, its file is no entry
		t.Errorf("Keys yields %q", got)
	}
	if err := d.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%v is left, want the entry alone", left)
	}
	if aside, _ := os.ReadDir(filepath.Join(d.Path, asideName)); len(aside) != 6 { // all but the temporary file
		t.Errorf("set aside is %v", aside)
	}
	if strings.ContainsAny(log.String(), "\x1b") {
		t.Errorf("the log holds foreign bytes: %q", &log)
	}
	want(t, d, "a", "v")
	want(t, d, long, "v")
}

// A million files of garbage must not fill the disk a second time, nor the log.
func TestWhatIsSetAsideIsBounded(t *testing.T) { // R27
	var log logOf
	d := newDir(t)
	d.Logger = log.logger()
	put(t, d, "a", "v", 1)
	dir := filepath.Dir(fileOf(d, "a"))
	for i := range maxAside + 50 {
		writeAs(t, filepath.Join(dir, fmt.Sprintf("JUNK%d", i)), "")
	}
	if err := d.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	aside, _ := os.ReadDir(filepath.Join(d.Path, asideName))
	left, _ := os.ReadDir(dir)
	if len(aside) != maxAside || len(left) != 51 {
		t.Errorf("%d set aside and %d left, want %d and 51: what is not ours is never removed", len(aside), len(left), maxAside)
	}
	if n := strings.Count(log.String(), "\n"); n == 0 || n > 2*linesPerMinute {
		t.Errorf("%d lines in the log", n)
	}
	writeAs(t, fileOf(d, "a"), "torn")
	wantErr(t, d, "a", ErrDamaged)
	put(t, d, "a", "v", 1)
	want(t, d, "a", "v")
}

func TestANewerFileStays(t *testing.T) { // R27
	d := newDir(t)
	put(t, d, "a", "v", 1)
	const newer = "strictmx-store 2 whatever\nnobody knows"
	writeAs(t, fileOf(d, "a"), newer)
	wantErr(t, d, "a", ErrNewerFormat)
	if err := d.PutIfNewer(t.Context(), "a", []byte("v2"), 2, time.Time{}); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("PutIfNewer = %v, want ErrNewerFormat", err)
	}
	long := strings.Repeat("x", 300)
	put(t, d, long, "v", 1)
	writeAs(t, fileOf(d, long), newer)
	if err := d.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"a", long} {
		if b, err := os.ReadFile(fileOf(d, key)); string(b) != newer || err != nil {
			t.Errorf("%.10s is now %q, %v", key, b, err)
		}
	}
	if err := d.Delete(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	wantErr(t, d, "a", ErrNotFound)
}

func TestSweepRemovesWhatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDir(t)
		long := strings.Repeat("x", 300)
		for key, life := range map[string]time.Duration{"short": time.Minute, long: time.Minute, "stays": 2 * time.Hour} {
			if err := d.PutIfNewer(t.Context(), key, nil, 1, time.Now().Add(life)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.Lease(t.Context(), "l", "h", time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := d.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if files := entryFiles(t, d); !slices.Equal(files, []string{"stays"}) {
			t.Errorf("left is %q", files)
		}
		if used := d.open.used(); used != block {
			t.Errorf("%d bytes are used, want %d", used, block)
		}
	})
}

// entryFiles returns the names of all files in shards.
func entryFiles(tb testing.TB, d *Dir) (names []string) {
	all, err := filepath.Glob(filepath.Join(d.Path, "??", "*"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range all {
		names = append(names, filepath.Base(name))
	}
	return names
}

func TestRunSweepsOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDir(t)
		for i := range 20 {
			if err := d.PutIfNewer(t.Context(), fmt.Sprintf("a/%d", i), nil, 1, time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), sweepEvery+time.Minute)
		defer cancel()
		if err := d.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run = %v", err)
		}
		if files := entryFiles(t, d); len(files) != 0 {
			t.Errorf("left is %q", files)
		}
		time.AfterFunc(time.Hour, func() { d.Close() })
		if err := d.Run(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Run = %v after Close", err)
		}
	})
}
