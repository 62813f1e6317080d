// Package cache is where knowledge about other people's domains lives.
//
// Such knowledge has two enemies. One is its amount: a mail server meets
// millions of domains, most of them once, and anyone can make up more. The
// other is the delivery path, which asks for every message and must not wait.
//
// [LRU] answers both: a map that many goroutines use at once, that forgets
// what was not used for longest when it is full, and whose reads allocate
// nothing. Its zero value is ready, and costs nothing until it is used:
//
//	var seen cache.LRU[time.Time] // in a struct, or with a Capacity of its own
//
//	seen.Put("example.com", time.Now())
//	last, ok := seen.Get("example.com")
//
// An entry has no lifetime here: who knows when a value ends keeps that in the
// value, and [LRU.Update] decides about it under the lock.
package cache
