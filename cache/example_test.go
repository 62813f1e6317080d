package cache_test

import (
	"fmt"

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
