package cache

import (
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestALeaseAndAClockSetBack(t *testing.T) {
	taken := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	r := record{version: taken.UnixNano(), expires: taken.Add(time.Hour)}
	for _, c := range []struct {
		name string
		now  time.Time
		over bool
	}{
		{"when it was taken", taken, false},
		{"just before its end", taken.Add(time.Hour - 1), false},
		{"at its end", taken.Add(time.Hour), true},
		{"the clock was set back a little", taken.Add(-time.Hour), false},
		{"the clock was set back by more than the lease", taken.Add(-time.Hour - 1), true},
		{"the clock was set back a day", taken.Add(-24 * time.Hour), true},
		{"the clock was set forward a day", taken.Add(24 * time.Hour), true},
	} {
		if over := leaseOver(r, c.now); over != c.over {
			t.Errorf("%s: over %v, want %v", c.name, over, c.over)
		}
	}
}

func TestADamagedLeaseIsFree(t *testing.T) {
	d := newDir(t)
	if held, err := d.Lease(t.Context(), "l", "a", time.Hour); !held || err != nil {
		t.Fatal(held, err)
	}
	file := filepath.Join(d.Path, filepath.FromSlash(leaseSpot("l").path()))
	writeAs(t, file, "torn")
	if held, err := d.Lease(t.Context(), "l", "b", time.Hour); !held || err != nil {
		t.Errorf("Lease = %v, %v", held, err)
	}
	if held, err := d.Lease(t.Context(), "l", "a", time.Hour); held || err != nil {
		t.Errorf("Lease = %v, %v; b has it", held, err)
	}
	writeAs(t, file, "strictmx-store 2\n")
	if held, err := d.Lease(t.Context(), "l", "a", time.Hour); held || !errors.Is(err, ErrNewerFormat) {
		t.Errorf("Lease = %v, %v; want ErrNewerFormat", held, err)
	}
}

func TestLeasesAreSweptWhenTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDir(t)
		if held, err := d.Lease(t.Context(), "l", "a", time.Hour); !held || err != nil {
			t.Fatal(held, err)
		}
		for _, left := range []int{1, 0} {
			if err := d.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if files := entryFiles(t, d); len(files) != left {
				t.Errorf("%q is left, want %d", files, left)
			}
			time.Sleep(time.Hour)
		}
	})
}
