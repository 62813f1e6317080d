package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/strictmx/strictmx/cache"
)

// invalidKeys are keys as an attacker or a bug would have them.
func invalidKeys() []string {
	return []string{
		"", "/", "//", "a/", "/a", "a//b", ".", "..", "../x", "a/../b", "a/..", "./a", "a/.", "mtasts/../../../etc/passwd", "/etc/passwd",
		"a\x00b", "\x00", "a\nb", "a\rb", "a b", " a", "a\tb", "a\x7fb", "\x1b[2J", "exämple", "a\xff", "a\u202eb",
		strings.Repeat("x", cache.MaxKey+1), strings.Repeat("x/", cache.MaxKey) + "x", strings.Repeat("x", 1<<20),
	}
}

// validKeys are keys which a careless store mixes up, hides or trips over.
func validKeys() []string {
	return []string{
		"a", "A", "b", "a/b", "a/B", "A/b", "a/b/c", "a%2fb", "a%2Fb", "a%252fb", "a+b", "a:b", "a,b", "a\\b", "a%b", "%", "%%", "%61", "%00", "%s",
		"...", "..a", "a..", ".a", "a.", "a/...", ".tmp", ".tmp/a", "a.tmp", "tmp", "a~", "~a", "~", "~~", "#a#", "-rf", "--", "*", "a*", "?", "[a]", "{a}", "{a,b}", "$HOME",
		"`id`", "$(id)", "'", "\"", "a'b", "a;b", "a|b", "a&b", "<a>", "!", "@", "^", "_", "=", "(", ")",
		"con", "CON", "nul", "nul.txt", "aux/a", "com1", "00", "ff", "0a/a", "aside", "leases", "format", "usage", "lock", ".lock", ".git/config",
		"mtasts/example.com", "mtasts/EXAMPLE.com", "mtasts/xn--exmple-cua.com", "mtasts/_25._tcp.example.com",
	}
}

func hostileKeys(w *world) {
	w.put(w.store, "a", "v", 1)
	for _, key := range invalidKeys() {
		if v, err := w.store.Get(w.ctx, key); !errors.Is(err, cache.ErrKey) || v != nil {
			w.Errorf("Get(%.100q) = %.100q, %v; want ErrKey", key, v, err)
		}
		if err := w.store.PutIfNewer(w.ctx, key, []byte("x"), 2, w.later()); !errors.Is(err, cache.ErrKey) {
			w.Errorf("PutIfNewer(%.100q): %v, want ErrKey", key, err)
		}
		if err := w.store.Delete(w.ctx, key); !errors.Is(err, cache.ErrKey) {
			w.Errorf("Delete(%.100q): %v, want ErrKey", key, err)
		}
		if key != "" { // which is the prefix of all
			for got, err := range w.store.Keys(w.ctx, key) { // a prefix need not be a key
				if err != nil || !strings.HasPrefix(got, key) {
					w.Errorf("Keys(%.100q) yields %q, %v", key, got, err)
				}
			}
		}
	}
	w.want(w.store, "a", "v")
	w.wantKeys(w.store, "", "a")
}

func oddKeys(w *world) {
	keys := validKeys()
	for _, key := range keys {
		w.wantNone(w.store, key)
		w.put(w.store, key, "value of "+key, 1)
	}
	for _, key := range keys {
		w.want(w.store, key, "value of "+key)
	}
	w.wantKeys(w.store, "", keys...)
	for i, key := range keys {
		w.delete(w.store, key)
		w.wantNone(w.store, key)
		if i%20 == 0 {
			w.wantKeys(w.store, "", validKeys()[i+1:]...)
		}
	}
	w.wantKeys(w.store, "")
}

func longKeys(w *world) {
	stem := strings.Repeat("x", cache.MaxKey-1)
	keys := []string{
		stem, stem + "a", stem + "b", stem + "A", strings.Repeat("%", cache.MaxKey), strings.Repeat("a/", cache.MaxKey/2-1) + "aa",
		"mtasts/" + strings.Repeat("x", 253), "mtasts/" + strings.Repeat("x", 252) + "y",
	}
	for n := 120; n < 300; n++ { // around what a file's name may have
		keys = append(keys, strings.Repeat("y", n))
	}
	for _, key := range keys {
		w.put(w.store, key, "value of "+key, 1)
	}
	for _, key := range keys {
		w.want(w.store, key, "value of "+key)
	}
	w.wantKeys(w.store, "", keys...)
	w.wantKeys(w.store, stem, stem, stem+"a", stem+"b", stem+"A")
	for _, key := range keys {
		w.delete(w.store, key)
	}
	w.wantKeys(w.store, "")
}

func prefixes(w *world) {
	for _, key := range []string{"mtasts/a.example", "mtasts/b.example", "mtastsx", "report/2026-11-24/a.example"} {
		w.put(w.store, key, "v", 1)
	}
	w.wantKeys(w.store, "mtasts/", "mtasts/a.example", "mtasts/b.example")
	w.wantKeys(w.store, "mtasts", "mtasts/a.example", "mtasts/b.example", "mtastsx")
	w.wantKeys(w.store, "mtasts/a.example", "mtasts/a.example")
	w.wantKeys(w.store, "mtasts/a.example/")
	w.wantKeys(w.store, "report/2026-", "report/2026-11-24/a.example")
	w.wantKeys(w.store, "MTASTS/")
	w.wantKeys(w.store, "mtasts/*")
	w.wantKeys(w.store, "m?asts")
	w.wantKeys(w.store, "[m]")
	w.wantKeys(w.store, "", "mtasts/a.example", "mtasts/b.example", "mtastsx", "report/2026-11-24/a.example")
}

func endsEarly(w *world) {
	for i := range 50 {
		w.put(w.store, fmt.Sprintf("a/%d", i), "v", 1)
	}
	for n := range 3 {
		seen := 0
		for _, err := range w.store.Keys(w.ctx, "a/") {
			if err != nil {
				w.Fatal(err)
			}
			if seen++; seen > n {
				break
			}
		}
		if seen != n+1 {
			w.Errorf("%d keys seen, want %d", seen, n+1)
		}
	}
}

func callsInLoop(w *world) {
	var want []string
	for i := range 100 {
		key := fmt.Sprintf("a/%d", i)
		w.put(w.store, key, "v", 1)
		want = append(want, key)
	}
	seen := make(map[string]bool)
	for key, err := range w.store.Keys(w.ctx, "a/") {
		if err != nil {
			w.Fatal(err)
		}
		if seen[key] {
			w.Fatalf("%q is yielded twice", key)
		}
		seen[key] = true
		w.want(w.store, key, "v")
		w.put(w.store, key, "v2", 2)
		w.delete(w.store, key)
		w.put(w.store, "b"+key, "v", 1)
	}
	if len(seen) != len(want) {
		w.Errorf("%d keys seen, want %d", len(seen), len(want))
	}
	w.wantKeys(w.store, "a/")
}

// keysDuringWrites: what stays is yielded once, what comes and goes at most once.
func keysDuringWrites(w *world) {
	const stay, writers, writes, rounds = 60, 3, 100, 10
	for i := range stay {
		w.put(w.store, fmt.Sprintf("stay/%d", i), "v", 0)
	}
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			for i := range writes {
				comes := fmt.Sprintf("come/%d/%d", n, i%10)
				for _, err := range []error{
					w.store.PutIfNewer(w.ctx, comes, []byte("v"), int64(i), w.later()),
					w.store.PutIfNewer(w.ctx, fmt.Sprintf("stay/%d", (i*7+n)%stay), []byte("v"), int64(i+1), w.later()),
					w.store.Delete(w.ctx, comes),
				} {
					if err != nil {
						w.Errorf("while Keys is running: %v", err)
					}
				}
			}
		})
	}
	defer wg.Wait()
	for range rounds {
		seen := make(map[string]int)
		for _, key := range w.keys(w.store.Keys(w.ctx, "")) {
			if seen[key]++; seen[key] > 1 {
				w.Errorf("%q is yielded twice", key)
			}
		}
		for i := range stay {
			if key := fmt.Sprintf("stay/%d", i); seen[key] == 0 {
				w.Errorf("%q is not yielded", key)
			}
		}
	}
}
