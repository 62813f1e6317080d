package cache

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var kills = flag.Int("kills", 200, "how often TestKill kills its child; a tenth with -short")

const (
	crashPath   = "STRICTMX_CRASH_PATH" // makes the test binary the child, on this directory
	crashHolder = "crash-holder"
)

// crashValue is the value that a key has at a version.
func crashValue(key string, version int64) []byte {
	line := fmt.Sprintf("%s is at version %d\n", key, version)
	return []byte(strings.Repeat(line, 1+int(version%40)*5))
}

// TestCrashChild is the child of TestKill. It stores without end, and says which
// version of which key is stored as soon as PutIfNewer has returned.
func TestCrashChild(t *testing.T) {
	path := os.Getenv(crashPath)
	if path == "" {
		t.Skip("the child of TestKill")
	}
	d := &Dir{Path: path, Quota: -1}
	if _, err := d.Lease(t.Context(), "lease", crashHolder, time.Hour); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for version := time.Now().UnixNano(); ; version++ {
				key := fmt.Sprintf("mtasts/%d-%d.example", n, version%7)
				if err := d.PutIfNewer(t.Context(), key, crashValue(key, version), version, time.Time{}); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				fmt.Printf("stored %s %d\n", key, version)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// A process may be killed at any moment: what it had stored is there and whole.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	stored := make(map[string]int64) // by key, the newest version whose PutIfNewer returned
	d := dirAt(t, path)
	d.Quota = -1
	rounds, puts := *kills, 0
	if testing.Short() {
		rounds /= 10
	}
	for round := range rounds {
		for key, version := range killOne(t, path) {
			stored[key] = version
			puts++
		}
		for key, version := range stored {
			checkStored(t, d, key, version)
		}
		for _, key := range keysOf(t, d) {
			checkStored(t, d, key, stored[key])
		}
		if held, err := d.Lease(t.Context(), "lease", "another", time.Hour); held || err != nil {
			t.Fatalf("round %d: the lease of a process killed just now = %v, %v; want that it lasts", round, held, err)
		}
		if t.Failed() {
			t.Fatalf("after %d kills", round+1)
		}
	}
	if aside, _ := os.ReadDir(filepath.Join(path, asideName)); len(aside) != 0 {
		t.Errorf("%v was set aside: something was torn", aside)
	}
	if len(stored) != 28 {
		t.Errorf("%d keys were stored, want all 28", len(stored))
	}
	t.Logf("%d kills, %d keys checked after one", rounds, puts)
}

// killOne runs a child for some milliseconds and returns what it has stored.
func killOne(t *testing.T, path string) map[string]int64 {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-test.timeout=1m")
	child.Env = append(os.Environ(), crashPath+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	r := bufio.NewReader(out)
	first, err := r.ReadString('\n') // it has begun
	if err != nil {
		t.Fatalf("the child says %q, %v", first, err)
	}
	said.WriteString(first)
	kill := time.AfterFunc(time.Duration(rand.IntN(20_000))*time.Microsecond, func() { child.Process.Kill() })
	defer kill.Stop()
	if _, err := io.Copy(&said, r); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the child ended with %v and said %s", err, &said)
	}
	stored := make(map[string]int64)
	for line := range strings.Lines(said.String()) {
		var key string
		var version int64
		if _, err := fmt.Sscanf(line, "stored %s %d\n", &key, &version); err == nil && strings.HasSuffix(line, "\n") {
			stored[key] = max(stored[key], version)
		}
	}
	return stored
}

// checkStored checks that a key is whole, and at that version or a later one.
func checkStored(t *testing.T, d *Dir, key string, least int64) {
	t.Helper()
	value, err := d.Get(t.Context(), key)
	if err != nil {
		t.Errorf("%s, stored at version %d: %v", key, least, err)
		return
	}
	line, _, _ := bytes.Cut(value, []byte("\n"))
	var version int64
	if _, err := fmt.Sscanf(string(line), key+" is at version %d", &version); err != nil || version < least || !bytes.Equal(value, crashValue(key, version)) {
		t.Errorf("%s, stored at version %d, is %.200q, %v", key, least, value, err)
	}
}
