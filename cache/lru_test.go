package cache

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"unsafe"
)

func TestLRU(t *testing.T) {
	t.Run("the zero LRU is empty and can be asked anything", func(t *testing.T) {
		var l LRU[int]
		if _, ok := l.Get("a"); ok {
			t.Error("Get found something")
		}
		if _, ok := l.Peek("a"); ok {
			t.Error("Peek found something")
		}
		if l.Delete("a") || l.Len() != 0 || l.Evicted() != 0 || len(maps.Collect(l.All())) != 0 {
			t.Error("something is there")
		}
		if l.shards.Load() != nil {
			t.Error("asking took memory")
		}
	})
	t.Run("the zero LRU holds a hundred thousand", func(t *testing.T) {
		var l LRU[int]
		for i := range 100_000 {
			l.Put(strconv.Itoa(i), i)
		}
		if l.Len() != 100_000 || l.Evicted() != 0 {
			t.Errorf("%d entries, %d evicted: keys that fall together must not be evicted before it is full", l.Len(), l.Evicted())
		}
		l.Put("one more", 0)
		if l.Len() != 100_000 || l.Evicted() != 1 {
			t.Errorf("%d entries, %d evicted after one more", l.Len(), l.Evicted())
		}
	})
	t.Run("what was used last stays", func(t *testing.T) {
		l := LRU[int]{Capacity: 3}
		for i, key := range []string{"a", "b", "c"} {
			l.Put(key, i)
		}
		l.Get("a")
		l.Peek("b") // does not count
		l.Put("d", 3)
		if got := slices.Sorted(maps.Keys(maps.Collect(l.All()))); !slices.Equal(got, []string{"a", "c", "d"}) {
			t.Errorf("left: %v, want a c d", got)
		}
	})
	t.Run("a negative capacity is the default", func(t *testing.T) {
		l := LRU[int]{Capacity: -1}
		l.Put("a", 1)
		l.Put("b", 2)
		if l.Len() != 2 {
			t.Errorf("%d entries, want 2", l.Len())
		}
	})
	t.Run("a capacity of one", func(t *testing.T) {
		l := LRU[int]{Capacity: 1}
		l.Put("a", 1)
		l.Put("b", 2)
		if v, ok := l.Get("b"); !ok || v != 2 || l.Len() != 1 {
			t.Errorf("b is %v, %v; %d entries", v, ok, l.Len())
		}
	})
}

func TestUpdate(t *testing.T) {
	var l LRU[int]
	for _, c := range []struct {
		name   string
		f      func(int, bool) (int, bool)
		want   int
		wantOK bool
	}{
		{"nothing is kept of nothing", func(v int, ok bool) (int, bool) { return v, ok }, 0, false},
		{"a first value", func(v int, ok bool) (int, bool) { return v + 1, !ok }, 1, true},
		{"a value that depends on the last", func(v int, ok bool) (int, bool) { return v + 1, ok }, 2, true},
		{"a value that is not wanted any more", func(v int, ok bool) (int, bool) { return v, !ok }, 0, false},
	} {
		l.Update("key", c.f)
		if v, ok := l.Peek("key"); v != c.want || ok != c.wantOK || l.Len() != map[bool]int{true: 1}[ok] {
			t.Errorf("%s: %v, %v and %d entries; want %v, %v", c.name, v, ok, l.Len(), c.want, c.wantOK)
		}
	}
	t.Run("a panic leaves the LRU usable and unchanged", func(t *testing.T) {
		l.Put("key", 7)
		func() {
			defer func() { recover() }()
			l.Update("key", func(int, bool) (int, bool) { panic("no") })
		}()
		if v, ok := l.Get("key"); v != 7 || !ok {
			t.Errorf("%v, %v; want 7", v, ok)
		}
	})
}

// A domain is often cut out of a message; the message must not stay with it.
func TestKeysAreCopied(t *testing.T) {
	message := string(make([]byte, 1<<20)) + "example.com"
	domain := message[1<<20:]
	var l LRU[int]
	l.Put(domain, 1)
	for key := range l.All() {
		if unsafe.StringData(key) == unsafe.StringData(domain) {
			t.Error("the key shares its memory with what it was cut from")
		}
	}
}

func TestAllMayChangeWhatItRangesOver(t *testing.T) {
	l := LRU[int]{Capacity: 2000}
	for i := range 1000 {
		l.Put(strconv.Itoa(i), i)
	}
	seen := make(map[string]int)
	for key, v := range l.All() {
		if _, twice := seen[key]; twice {
			t.Fatalf("%s came twice", key)
		}
		seen[key] = v
		l.Delete(key)
		l.Put("new"+key, v)
		if len(seen) > 3000 {
			t.Fatal("the loop feeds itself")
		}
	}
	for i := range 1000 {
		if v, ok := seen[strconv.Itoa(i)]; !ok || v != i {
			t.Fatalf("%d was %d, %v", i, v, ok)
		}
	}
	for range l.All() {
		break // leaves no lock behind
	}
	if l.Len() != 1000 {
		t.Errorf("%d entries, want 1000", l.Len())
	}
}

// A shard without another entry takes the room from the others.
func TestRoomComesFromAnotherShard(t *testing.T) {
	l := LRU[int]{Capacity: 1}
	two := newShards[int](1)
	two.shard = make([]shard[int], 2)
	l.shards.Store(two)
	for i := range 100 {
		key := strconv.Itoa(i)
		l.Put(key, i)
		if v, ok := l.Get(key); !ok || v != i || l.Len() != 1 || l.Evicted() != uint64(i) {
			t.Fatalf("after %d: %v, %v; %d entries, %d evicted", i, v, ok, l.Len(), l.Evicted())
		}
	}
}

// naive is the same thing, plain and slow: keys from oldest to newest.
type naive struct {
	capacity int
	keys     []string
	values   map[string]int
	evicted  uint64
}

func (n *naive) get(key string) (int, bool) {
	v, ok := n.values[key]
	if ok {
		n.put(key, v)
	}
	return v, ok
}

func (n *naive) put(key string, v int) {
	n.delete(key)
	if len(n.keys) == n.capacity {
		n.delete(n.keys[0])
		n.evicted++
	}
	n.keys = append(n.keys, key)
	n.values[key] = v
}

func (n *naive) delete(key string) bool {
	_, ok := n.values[key]
	delete(n.values, key)
	n.keys = slices.DeleteFunc(n.keys, func(k string) bool { return k == key })
	return ok
}

// checkAgainstNaive runs a program on both: each byte is a step and a key.
func checkAgainstNaive(t *testing.T, capacity int, program []byte) {
	t.Helper()
	l, n := LRU[int]{Capacity: capacity}, naive{capacity: capacity, values: make(map[string]int)}
	for i, b := range program {
		key := strconv.Itoa(int(b & 15))
		var got, want any
		switch b >> 4 & 7 {
		case 0, 1, 2:
			l.Put(key, i)
			n.put(key, i)
		case 3:
			gv, gok := l.Get(key)
			wv, wok := n.get(key)
			got, want = fmt.Sprint(gv, gok), fmt.Sprint(wv, wok)
		case 4:
			gv, gok := l.Peek(key)
			wv, wok := n.values[key]
			got, want = fmt.Sprint(gv, gok), fmt.Sprint(wv, wok)
		case 5:
			got, want = l.Delete(key), n.delete(key)
		case 6: // removed if odd, else one more
			l.Update(key, func(v int, ok bool) (int, bool) { return v + 1, v%2 == 0 })
			if v := n.values[key]; v%2 == 0 {
				n.put(key, v+1)
			} else {
				n.delete(key)
			}
		case 7: // kept if there
			l.Update(key, func(v int, ok bool) (int, bool) { return v, ok })
			n.get(key)
		}
		if got != want {
			t.Fatalf("capacity %d, step %d of %x: got %v, want %v", capacity, i, program, got, want)
		}
		if l.Len() != len(n.keys) || l.Evicted() != n.evicted {
			t.Fatalf("capacity %d, step %d of %x: %d entries, %d evicted; want %d, %d",
				capacity, i, program, l.Len(), l.Evicted(), len(n.keys), n.evicted)
		}
	}
	if got := maps.Collect(l.All()); !maps.Equal(got, n.values) {
		t.Fatalf("capacity %d after %x: %v, want %v", capacity, program, got, n.values)
	}
}

func TestLRUAgainstANaiveOne(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		program := make([]byte, r.IntN(200))
		for i := range program {
			program[i] = byte(r.Uint32())
		}
		checkAgainstNaive(t, 1+r.IntN(20), program)
	}
}

func FuzzLRU(f *testing.F) {
	f.Add(uint8(1), []byte("\x00\x01\x02\x30\x40\x50\x60\x70"))
	f.Add(uint8(4), []byte("\x00\x01\x02\x03\x30\x04\x61\x61\x51\x05"))
	f.Fuzz(func(t *testing.T, capacity uint8, program []byte) {
		checkAgainstNaive(t, 1+int(capacity), program)
	})
}

// With many shards the order is no longer exact; the rest is.
func TestManyShards(t *testing.T) {
	const capacity = 20_000
	l := LRU[int]{Capacity: capacity}
	r := rand.New(rand.NewPCG(3, 4))
	last := make(map[string]int)
	inserted, deleted := 0, 0
	for i := range 200_000 {
		key := strconv.Itoa(r.IntN(2 * capacity))
		switch r.IntN(4) {
		case 0:
			if l.Delete(key) {
				deleted++
			}
			delete(last, key)
		case 1:
			v, ok := l.Get(key)
			if want, known := last[key]; ok && (!known || v != want) {
				t.Fatalf("%s is %d, which was put there %v", key, v, known)
			}
		default:
			l.Update(key, func(_ int, ok bool) (int, bool) {
				if !ok {
					inserted++
				}
				return i, true
			})
			last[key] = i
			if v, ok := l.Peek(key); !ok || v != i {
				t.Fatalf("%s is %d, %v right after %d was put there", key, v, ok, i)
			}
		}
		if l.Len() > capacity {
			t.Fatalf("%d entries", l.Len())
		}
	}
	if got := len(maps.Collect(l.All())); got != l.Len() || inserted-deleted-int(l.Evicted()) != got {
		t.Errorf("%d entries, Len %d; %d inserted, %d deleted, %d evicted", got, l.Len(), inserted, deleted, l.Evicted())
	}
	if l.Evicted() == 0 {
		t.Error("nothing was ever evicted; this test proves nothing")
	}
}

// A flood of keys used once does not reach keys in use.
func TestKeysInUseSurviveAFlood(t *testing.T) {
	l := LRU[int]{Capacity: 10_000}
	for i := range 200_000 {
		l.Put("junk"+strconv.Itoa(i), i)
		if i%20 == 0 {
			busy := "busy" + strconv.Itoa(i/20%100)
			if _, ok := l.Get(busy); !ok {
				if i >= 20*100 {
					t.Fatalf("%s was lost at %d", busy, i)
				}
				l.Put(busy, i)
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	const capacity, workers, steps = 1000, 8, 5000
	l := LRU[int]{Capacity: capacity}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 5))
			for i := range steps {
				l.Update("counter", func(v int, ok bool) (int, bool) { return v + 1, true })
				key := strconv.Itoa(r.IntN(3 * capacity))
				switch i % 8 {
				case 0:
					l.Delete(key)
				case 1:
					l.Get(key)
				case 2:
					if i%500 == 2 {
						for range l.All() {
						}
					}
				default:
					l.Put(key, i)
				}
				// Each other worker may be about to evict what it has just put in.
				if n := l.Len(); n > capacity+workers {
					t.Errorf("%d entries", n)
					return
				}
			}
		})
	}
	wg.Wait()
	if v, _ := l.Get("counter"); v != workers*steps {
		t.Errorf("the counter says %d, want %d", v, workers*steps)
	}
	if n := len(maps.Collect(l.All())); n != l.Len() || n > capacity {
		t.Errorf("%d entries, Len %d; want at most %d", n, l.Len(), capacity)
	}
}

func TestConcurrentFirstUse(t *testing.T) {
	for range 100 {
		var l LRU[int]
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() { l.Put(strconv.Itoa(w), w) })
		}
		wg.Wait()
		if l.Len() != 4 {
			t.Fatalf("%d entries, want 4: one goroutine's was put into shards that nobody sees", l.Len())
		}
	}
}

func TestNothingAllocatesOnceAKeyIsThere(t *testing.T) {
	var l LRU[int]
	l.Put("example.com", 1)
	for name, f := range map[string]func(){
		"Get":    func() { l.Get("example.com") },
		"a miss": func() { l.Get("example.org") },
		"Peek":   func() { l.Peek("example.com") },
		"Put":    func() { l.Put("example.com", 2) },
		"Update": func() { l.Update("example.com", func(v int, ok bool) (int, bool) { return v, ok }) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

// million returns an LRU with a million keys of 15 bytes, and what each costs.
func million(more int) (*LRU[int64], float64) {
	const n = 1_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := &LRU[int64]{Capacity: n}
	for i := range n + more {
		l.Put(fmt.Sprintf("d%08d.tests", i), int64(i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	return l, float64(after.HeapAlloc-before.HeapAlloc) / float64(l.Len())
}

// What an entry costs is known, so a Capacity is a bound in bytes.
func TestBytesPerEntry(t *testing.T) {
	if testing.Short() {
		t.Skip("a million entries; run without -short")
	}
	l, bytes := million(0)
	if l.Len() != 1_000_000 || bytes > 150 {
		t.Errorf("%d entries of %.1f bytes, want a million of at most 150", l.Len(), bytes)
	}
}
