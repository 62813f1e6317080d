package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// failing makes the nth step fail, and all after it if after is set; n counts from 0.
type failing struct {
	mu    sync.Mutex
	n     int
	after bool
	err   error
	only  func(string) bool // nil: every step counts
	done  []string
}

func (f *failing) step(step string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.only != nil && !f.only(step) {
		return nil
	}
	i := len(f.done)
	f.done = append(f.done, step)
	if i == f.n || f.after && i > f.n {
		return f.err
	}
	return nil
}

// on puts faults between d, which is open, and its disk, until the returned func is called.
func (f *failing) on(d *Dir) (off func()) {
	inner := d.open.disk
	usage := d.open.usage
	d.open.disk = &faultyDisk{disk: inner, fault: f.step}
	d.open.usage = &faultyFile{diskFile: usage, name: usageName, fault: f.step}
	return func() { d.open.disk, d.open.usage = inner, usage }
}

// Whatever step fails, and with whatever error: nothing is lost, nothing torn,
// what PutIfNewer says is true, and afterwards all works again.
func TestAnyStepOfPutMayFail(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		after bool
		only  func(string) bool
	}{
		{"the disk is full", syscall.ENOSPC, true, writes},
		{"the disk is full for a moment", syscall.ENOSPC, false, writes},
		{"the disk is full but renames work", syscall.ENOSPC, true, func(step string) bool {
			return strings.HasPrefix(step, "write ") || strings.HasPrefix(step, "sync ") || strings.HasPrefix(step, "create ")
		}},
		{"an error of the disk", syscall.EIO, false, nil},
		{"errors of the disk", syscall.EIO, true, nil},
		{"the disk is read-only", syscall.EROFS, true, writes},
		{"permission is denied", syscall.EACCES, true, nil},
		{"the quota of the user is used up", syscall.EDQUOT, true, writes},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDir(t)
			put(t, d, "other", "other", 1)
			put(t, d, "a", "v0", 0)
			version := int64(0)
			steps := 0
			for n := 0; ; n++ {
				old := fmt.Sprintf("v%d", version)
				version++
				now := fmt.Sprintf("v%d", version)
				f := &failing{n: n, err: c.err, after: c.after, only: c.only}
				off := f.on(d)
				err := d.PutIfNewer(t.Context(), "a", []byte(now), version, time.Now().Add(time.Hour))
				off()
				if err != nil && !errors.Is(err, c.err) {
					t.Errorf("step %d, %q: error %v, want %v", n, f.done[n], err, c.err)
				}
				got, getErr := d.Get(t.Context(), "a")
				if getErr != nil || string(got) != now && (err == nil || string(got) != old) {
					t.Fatalf("step %d, %q: PutIfNewer = %v, then Get = %q, %v", n, f.done[min(n, len(f.done)-1)], err, got, getErr)
				}
				want(t, d, "other", "other")
				put(t, d, "a", now, version) // again, also where it had been done
				want(t, d, "a", now)
				if len(f.done) <= n {
					steps = n
					break
				}
			}
			if steps < 5 {
				t.Errorf("only %d steps: this test proves nothing", steps)
			}
		})
	}
}

// No failure is taken for "there is nothing".
func TestAnyStepOfGetMayFail(t *testing.T) { // R9
	d := newDir(t)
	put(t, d, "a", "v", 1)
	for key, there := range map[string]bool{"a": true, "missing": false} {
		for n := 0; ; n++ {
			f := &failing{n: n, err: syscall.EIO}
			off := f.on(d)
			got, err := d.Get(t.Context(), key)
			off()
			if len(f.done) <= n {
				break
			}
			closing := strings.HasPrefix(f.done[n], "close ")
			if errors.Is(err, ErrNotFound) || !closing && !errors.Is(err, syscall.EIO) || err == nil && (!there || string(got) != "v") {
				t.Errorf("step %d, %q: Get(%q) = %q, %v", n, f.done[n], key, got, err)
			}
		}
	}
}

func TestAnyOtherStepMayFail(t *testing.T) {
	for name, f := range map[string]func(*Dir) error{
		"Delete": func(d *Dir) error { return d.Delete(context.Background(), "a") },
		"Keys": func(d *Dir) error {
			for _, err := range d.Keys(context.Background(), "") {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"Sweep": func(d *Dir) error { return d.sweep(context.Background(), spotOf("a").shard) },
		"Lease": func(d *Dir) error {
			_, err := d.Lease(context.Background(), "l", "h", time.Hour)
			return err
		},
		"Release": func(d *Dir) error { return d.Release(context.Background(), "l", "h") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDir(t)
			put(t, d, "b", "v", 1)
			failed := 0
			for n := range 200 {
				put(t, d, "a", "v", 1)
				if _, err := d.Lease(t.Context(), "l", "h", time.Hour); err != nil {
					t.Fatal(err)
				}
				fault := &failing{n: n, err: syscall.EIO}
				off := fault.on(d)
				err := f(d)
				off()
				if err != nil {
					failed++
				}
				if name == "Delete" && err == nil {
					wantErr(t, d, "a", ErrNotFound)
				}
				if name == "Release" && err == nil {
					if held, err := d.Lease(t.Context(), "l", "another", time.Hour); !held || err != nil {
						t.Errorf("%q fails: Release = nil, and then Lease = %v, %v", fault.done[n:], held, err)
					}
					if err := d.Release(t.Context(), "l", "another"); err != nil {
						t.Fatal(err)
					}
				}
				want(t, d, "b", "v")
				if len(fault.done) <= n {
					break
				}
			}
			if failed == 0 {
				t.Error("no step failed")
			}
		})
	}
}

func TestOpenMayFailAtAnyStep(t *testing.T) {
	d := newDir(t)
	path := d.Path
	for n := 0; ; n += 1 + n/8 { // most are alike
		f := &failing{n: n, err: syscall.ENOSPC, only: writes}
		d := dirAt(t, path)
		d.wrapDisk = func(inner disk) disk { return &faultyDisk{disk: inner, fault: f.step} }
		if err := d.Open(); err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("step %d: Open = %v", n, err)
		}
		d.Close()
		d = dirAt(t, path)
		put(t, d, "a", "v", int64(n))
		want(t, d, "a", "v")
		d.Close()
		if len(f.done) <= n {
			break
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

// powerDisk forgets at a power cut what was not synced: the bytes of files, and
// what was renamed and removed.
type powerDisk struct {
	disk
	path  string
	cut   func(step string) error
	dirty map[string]bool // files written and not synced
	undo  []undo          // renames in directories not synced since
}

type undo struct {
	to    string
	old   []byte // nil: there was none
	there bool
}

func (d *powerDisk) openFile(name string, flag int) (diskFile, error) {
	if err := d.cut("open " + name); err != nil {
		return nil, err
	}
	f, err := d.disk.openFile(name, flag)
	if err != nil {
		return nil, err
	}
	if flag&os.O_EXCL != 0 {
		d.dirty[name] = true
	}
	return &powerFile{f, name, d}, nil
}

func (d *powerDisk) rename(from, to string) error {
	if err := d.cut("rename " + to); err != nil {
		return err
	}
	old, err := os.ReadFile(filepath.Join(d.path, to))
	d.undo = append(d.undo, undo{to, old, err == nil})
	if d.dirty[from] {
		d.dirty[to] = true
		delete(d.dirty, from)
	}
	return d.disk.rename(from, to)
}

func (d *powerDisk) removeAll(name string) error {
	if err := d.cut("remove " + name); err != nil {
		return err
	}
	delete(d.dirty, name)
	return d.disk.removeAll(name)
}

type powerFile struct {
	diskFile
	name string
	d    *powerDisk
}

func (f *powerFile) Write(b []byte) (int, error) {
	if err := f.d.cut("write " + f.name); err != nil {
		n, _ := f.diskFile.Write(b[:rand.IntN(len(b))])
		return n, err
	}
	return f.diskFile.Write(b)
}

func (f *powerFile) Sync() error {
	if err := f.d.cut("sync " + f.name); err != nil {
		return err
	}
	delete(f.d.dirty, f.name)
	var left []undo
	for _, u := range f.d.undo {
		if filepath.Dir(u.to) != f.name {
			left = append(left, u)
		}
	}
	f.d.undo = left
	return nil
}

// crash leaves of the directory what a power cut might.
func (d *powerDisk) crash(tb testing.TB, renamesLost bool) {
	for name := range d.dirty {
		file := filepath.Join(d.path, name)
		info, err := os.Stat(file)
		if err == nil && info.Size() > 0 {
			err = os.Truncate(file, rand.Int64N(info.Size()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			tb.Fatal(err)
		}
	}
	for i := len(d.undo) - 1; i >= 0 && renamesLost; i-- {
		u := d.undo[i]
		file := filepath.Join(d.path, u.to)
		if !u.there {
			if err := os.Remove(file); err != nil {
				tb.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(file, u.old, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

// The power may go at any step: an entry whose PutIfNewer returned is there, and
// whole; one whose did not is the old one or the new one.
func TestPowerCuts(t *testing.T) {
	for _, renamesLost := range []bool{false, true} {
		for _, first := range []bool{false, true} {
			t.Run(fmt.Sprintf("renames lost %v, first of its key %v", renamesLost, first), func(t *testing.T) {
				for n, steps := 0, 1; n <= steps; n++ {
					f := &failing{n: n, after: true, err: errors.New("power cut")}
					d := newDir(t)
					if !first {
						put(t, d, "a", "old", 1)
					}
					if err := d.Open(); err != nil {
						t.Fatal(err)
					}
					p := &powerDisk{disk: d.open.disk, path: d.Path, cut: f.step, dirty: make(map[string]bool)}
					d.open.disk = p
					err := d.PutIfNewer(t.Context(), "a", []byte("new"), 2, time.Now().Add(time.Hour))
					if steps = len(f.done); steps <= n && err != nil {
						t.Fatal(err)
					}
					d.open.disk = p.disk
					d.Close()
					p.crash(t, renamesLost)
					got, getErr := dirAt(t, d.Path).Get(t.Context(), "a")
					isOld := string(got) == "old" && !first || first && errors.Is(getErr, ErrNotFound)
					if isNew := string(got) == "new"; !isNew && (err == nil || !isOld) {
						t.Errorf("power cut at %q: PutIfNewer = %v, then Get = %q, %v", f.done[min(n, len(f.done)-1)], err, got, getErr)
					}
				}
			})
		}
	}
}

// A call on a disk that hangs ends with its context; when too many hang the next ones
// wait for nothing but their context, too.
func TestASlowDisk(t *testing.T) {
	d := newDir(t)
	put(t, d, "a", "v", 1)
	release := make(chan struct{})
	inner := d.open.disk
	d.open.disk = &faultyDisk{disk: inner, fault: func(string) error { <-release; return nil }}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range maxCalls + 10 {
		wg.Go(func() {
			if _, err := d.Get(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Get = %v, want the end of the context", err)
			}
			if err := d.PutIfNewer(ctx, "a", nil, 2, time.Time{}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("PutIfNewer = %v, want the end of the context", err)
			}
		})
	}
	wg.Wait()
	close(release)
	want(t, d, "a", "v")
	if err := d.Close(); err != nil { // which waits for all that hung
		t.Error(err)
	}
}

func TestAReadOnlyDirectoryCanBeRead(t *testing.T) {
	d := newDir(t)
	put(t, d, "a", "v", 1)
	d.Close()
	again := dirAt(t, d.Path)
	again.wrapDisk = func(inner disk) disk {
		return &faultyDisk{disk: inner, fault: func(step string) error {
			if writes(step) {
				return syscall.EROFS
			}
			return nil
		}}
	}
	want(t, again, "a", "v")
	wantErr(t, again, "b", ErrNotFound)
	if keys := keysOf(t, again); len(keys) != 1 {
		t.Errorf("Keys yields %q", keys)
	}
	if err := again.PutIfNewer(t.Context(), "a", nil, 2, time.Time{}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("PutIfNewer = %v, want EROFS", err)
	}
	writeAs(t, fileOf(d, "a"), "torn")
	wantErr(t, again, "a", ErrDamaged)
	wantErr(t, again, "a", ErrDamaged) // it could not be set aside
}

func TestAFullDiskKeepsWhatItHas(t *testing.T) {
	if os.Getenv("STRICTMX_SMALL_DISK") == "" {
		t.Skip("set STRICTMX_SMALL_DISK to an empty directory on a file system of a few MB")
	}
	d := dirAt(t, filepath.Join(os.Getenv("STRICTMX_SMALL_DISK"), "store"))
	defer os.RemoveAll(d.Path)
	stored := make(map[string]bool)
	full := 0
	for i := 0; full < 100; i++ {
		key := fmt.Sprintf("a/%d", i%5000)
		err := d.PutIfNewer(t.Context(), key, []byte(strings.Repeat("x", 3000)), int64(i), time.Time{})
		switch {
		case err == nil:
			stored[key] = true
		case errors.Is(err, syscall.ENOSPC):
			full++
		default:
			t.Fatal(err)
		}
	}
	for key := range stored {
		want(t, d, key, strings.Repeat("x", 3000))
	}
	t.Logf("%d entries", len(stored))
}
