package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// onDiskOf adds up what the entries of d take.
func onDiskOf(tb testing.TB, d *Dir) (total int64) {
	tb.Helper()
	all, err := filepath.Glob(filepath.Join(d.Path, "??", "*"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range all {
		if info, err := os.Lstat(name); err == nil {
			total += onDisk(info.Size())
		}
	}
	return total
}

func TestQuota(t *testing.T) { // R27, I15
	d := newDir(t)
	d.Quota = 100 * block
	for i := range 400 {
		put(t, d, fmt.Sprintf("a/%d", i), strings.Repeat("x", i%3*3000), 1)
		if total := onDiskOf(t, d); total > d.Quota || total != d.open.used() {
			t.Fatalf("after %d: %d bytes, by the ledger %d; want at most %d", i, total, d.open.used(), d.Quota)
		}
	}
	want(t, d, "a/399", "")
	if n := len(keysOf(t, d)); n < 40 {
		t.Errorf("%d entries are left: more than needed were evicted", n)
	}
}

func TestEvictionOrder(t *testing.T) { // R27
	synctest.Test(t, func(t *testing.T) {
		d := newDir(t)
		d.Quota = 64 * block
		d.Worth = func(_ string, value []byte) int { return len(value) }
		start := time.Now()
		add := func(i int, name, value string, life time.Duration) {
			t.Helper()
			if err := d.PutIfNewer(t.Context(), name, []byte(value), 1, start.Add(life)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(fileOf(d, name), start, start.Add(time.Duration(i)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 64 {
			switch {
			case i < 4:
				add(i, fmt.Sprintf("precious%02d", i), "worth it", 24*time.Hour) // written first
			case i >= 60:
				add(i, fmt.Sprintf("expired%02d", i), "worth it", time.Minute) // written last
			default:
				add(i, fmt.Sprintf("plain%02d", i), "", 24*time.Hour)
			}
		}
		time.Sleep(time.Hour)
		put(t, d, "new0", "", 1)
		left := keysOf(t, d)
		slices.Sort(left)
		if i := slices.IndexFunc(left, func(key string) bool { return strings.HasPrefix(key, "expired") }); i >= 0 {
			t.Errorf("%s is still there", left[i])
		}
		for round := range 6 { // until plain ones must go, the oldest first
			for i := range 5 {
				put(t, d, fmt.Sprintf("new%d/%d", round, i), "new", 1)
			}
		}
		left = keysOf(t, d)
		slices.Sort(left)
		var plain []string
		for _, key := range left {
			if strings.HasPrefix(key, "plain") {
				plain = append(plain, key)
			}
		}
		if len(plain) == 0 || len(plain) == 56 || plain[len(plain)-1] != "plain59" || plain[0] != fmt.Sprintf("plain%02d", 60-len(plain)) {
			t.Errorf("of the plain ones %q is left, want the newest of them", plain)
		}
		for i := range 4 {
			want(t, d, fmt.Sprintf("precious%02d", i), "worth it")
		}
	})
}

// Who chooses the keys, and so the shards they fall into, gains nothing.
func TestAFloodOfOneShard(t *testing.T) {
	d := newDir(t)
	d.Quota = 512 * block
	old := time.Now().Add(-time.Hour)
	for i := range 256 {
		key := fmt.Sprintf("honest/%d", i)
		put(t, d, key, "v", 1)
		if err := os.Chtimes(fileOf(d, key), old, old); err != nil {
			t.Fatal(err)
		}
	}
	victim := spotOf("honest/7").shard
	for i, sent := 0, 0; sent < 230; i++ { // within the quota: as much as fits beside
		if key := fmt.Sprintf("junk/%d", i); spotOf(key).shard == victim {
			put(t, d, key, "v", 1)
			sent++
		}
	}
	want(t, d, "honest/7", "v")
}

func TestTheLedgerIsMended(t *testing.T) {
	d := newDir(t)
	d.Quota = 100 * block
	for i := range 50 {
		put(t, d, fmt.Sprintf("a/%d", i), "v", 1)
	}
	ledger := filepath.Join(d.Path, usageName)
	t.Run("it says more than there is", func(t *testing.T) {
		writeAs(t, ledger, strings.Repeat(fmt.Sprintf(usageLine, 90*block), shardCount))
		put(t, d, "b", "v", 1)
		if n := len(keysOf(t, d)); n != 51 {
			t.Errorf("%d entries, want 51: nothing had to go", n)
		}
	})
	t.Run("it is lost", func(t *testing.T) {
		writeAs(t, ledger, "")
		if err := d.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if used := d.open.used(); used != 51*block {
			t.Errorf("%d bytes by the ledger, want %d", used, 51*block)
		}
	})
	t.Run("it is garbage", func(t *testing.T) {
		writeAs(t, ledger, strings.Repeat("99999999999999999999999\nx\x00", 1000))
		for i := range 200 {
			put(t, d, fmt.Sprintf("c/%d", i), "v", 1)
		}
		if err := d.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		put(t, d, "d", "v", 1)
		if total := onDiskOf(t, d); total > d.Quota {
			t.Errorf("%d bytes, want at most %d", total, d.Quota)
		}
	})
}

func TestNoRoom(t *testing.T) {
	d := newDir(t)
	d.Quota = 2 * block
	if err := d.PutIfNewer(t.Context(), "a", make([]byte, 3*block), 1, time.Time{}); !errors.Is(err, ErrFull) {
		t.Errorf("PutIfNewer of more than the quota = %v, want ErrFull", err)
	}
	for _, holder := range []string{"a", "b"} {
		if held, err := d.Lease(t.Context(), "lease-of-"+holder, holder, time.Hour); err != nil || !held {
			t.Fatal(held, err)
		}
	}
	if err := d.PutIfNewer(t.Context(), "a", nil, 1, time.Time{}); !errors.Is(err, ErrFull) {
		t.Errorf("PutIfNewer where leases in force take all = %v, want ErrFull", err)
	}
	unbound := newDir(t)
	unbound.Quota = -1
	put(t, unbound, "a", strings.Repeat("x", MaxValue), 1)
}

// A file that cannot be moved goes on taking room, however often somebody tries.
func TestTheLedgerCountsWhatCannotBeSetAside(t *testing.T) {
	d := newDir(t)
	full := true
	d.wrapDisk = func(real disk) disk {
		return &faultyDisk{real, func(step string) error {
			if full && strings.HasPrefix(step, "rename "+asideName+"/") {
				return syscall.ENOSPC
			}
			return nil
		}}
	}
	put(t, d, "torn", "v", 1)
	put(t, d, "good", "v", 1)
	writeAs(t, fileOf(d, "torn"), "torn")
	check := func(when string) {
		t.Helper()
		for range 5 {
			if _, err := d.Get(t.Context(), "torn"); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: Get = %v, want ErrDamaged", when, err)
			}
			if used, want := d.open.used(), onDiskOf(t, d); used != want {
				t.Fatalf("%s: %d bytes by the ledger, want %d", when, used, want)
			}
		}
	}
	check("no room for it aside")
	full = false
	check("set aside")
	if total := onDiskOf(t, d); total != block {
		t.Errorf("%d bytes are left, want the good one's", total)
	}
}

// Where the disk is slow, each call makes as much room as it has the time for; and
// one that is too short for a result leaves something done for the next.
func TestRoomIsMadeOnASlowDisk(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit time.Duration
		calls int // of which the last succeeds
	}{
		{"in one call", time.Second, 1},
		{"in some short calls", 30 * time.Millisecond, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDir(t)
				d.Quota = 250 * block
				var slow atomic.Bool
				d.wrapDisk = func(real disk) disk {
					return &faultyDisk{real, func(step string) error {
						if strings.HasPrefix(step, "open ") && slow.Load() {
							time.Sleep(5 * time.Millisecond)
						}
						return nil
					}}
				}
				for i := range 250 {
					put(t, d, fmt.Sprintf("old/%d", i), "v", 1)
				}
				slow.Store(true)
				var err error
				for range c.calls {
					ctx, cancel := context.WithTimeout(t.Context(), c.limit)
					err = d.PutIfNewer(ctx, "new", []byte("v"), 1, time.Time{})
					cancel()
					synctest.Wait()
					time.Sleep(time.Second) // what was left behind ends
					if err == nil {
						break
					}
				}
				if err != nil {
					t.Fatalf("no room was made: %v", err)
				}
				slow.Store(false)
				want(t, d, "new", "v")
				if n := len(keysOf(t, d)); n < 200 || n > 250 {
					t.Errorf("%d entries are left", n)
				}
			})
		})
	}
}

func TestManyWritersStayWithinTheQuota(t *testing.T) { // I15
	path := filepath.Join(t.TempDir(), "store")
	dirs := []*Dir{dirAt(t, path), dirAt(t, path)}
	for _, d := range dirs {
		d.Quota = 80 * block
	}
	const writers = 8
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 1))
			for range 60 {
				if err := dirs[n%2].PutIfNewer(t.Context(), fmt.Sprintf("a/%d", r.IntN(300)), []byte("v"), r.Int64(), time.Time{}); err != nil {
					t.Errorf("PutIfNewer: %v", err)
				}
			}
		})
	}
	wg.Wait()
	// Each writer may have found the same room.
	if total := onDiskOf(t, dirs[0]); total > (80+writers)*block || total != dirs[0].open.used() {
		t.Errorf("%d bytes, by the ledger %d; want at most %d", total, dirs[0].open.used(), dirs[0].Quota)
	}
}
