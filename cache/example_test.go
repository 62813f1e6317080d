package cache_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/strictmx/strictmx/cache"
)

func ExampleLRU() {
	seen := cache.LRU[int]{Capacity: 2}
	seen.Put("example.com", 1)
	seen.Put("example.org", 1)
	seen.Get("example.com")
	seen.Put("example.net", 1) // example.org was unused for longest

	_, ok := seen.Get("example.org")
	fmt.Println(ok, seen.Len(), seen.Evicted())
	// Output: false 2 1
}

func ExampleLRU_Update() {
	var deliveries cache.LRU[int]
	for range 3 {
		deliveries.Update("example.com", func(n int, _ bool) (int, bool) { return n + 1, true })
	}
	fmt.Println(deliveries.Get("example.com"))
	// Output: 3 true
}

func ExampleDir() {
	parent, err := os.MkdirTemp("", "strictmx")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)
	store := &cache.Dir{Path: filepath.Join(parent, "store")}
	defer store.Close()

	ctx, week := context.Background(), time.Now().Add(7*24*time.Hour)
	for version, policy := range []string{"none", "testing", "enforce"} {
		if err := store.PutIfNewer(ctx, "mtasts/example.com", []byte(policy), int64(version), week); err != nil {
			log.Fatal(err)
		}
	}
	// Who comes late with something older changes nothing.
	if err := store.PutIfNewer(ctx, "mtasts/example.com", []byte("none"), 0, week); err != nil {
		log.Fatal(err)
	}
	policy, err := store.Get(ctx, "mtasts/example.com")
	fmt.Printf("%s %v\n", policy, err)
	_, err = store.Get(ctx, "mtasts/example.org")
	fmt.Println(errors.Is(err, cache.ErrNotFound))
	// Output:
	// enforce <nil>
	// true
}
