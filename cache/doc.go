// Package cache is where knowledge about other people's domains lives.
//
// Such knowledge has three enemies. One is its amount: a mail server meets
// millions of domains, most of them once, and anyone can make up more. Another
// is the delivery path, which asks for every message and must not wait. The
// third is the restart: who forgets a policy then meets its domain for the first
// time again, and that is the moment an attacker waits for.
//
// # In memory
//
// [LRU] answers the first two: a map that many goroutines use at once, that forgets
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
//
// # On disk, and shared
//
// A [Store] answers the third. It keeps bytes under keys, each with a version, of which the
// newest wins, and a time at which it expires. What it has taken is there also after the
// process was killed or the power went.
//
//	store := &cache.Dir{Path: "/var/lib/mymta/strictmx"}
//	err := store.PutIfNewer(ctx, "mtasts/example.com", policy, fetched.UnixNano(), expires)
//	policy, err = store.Get(ctx, "mtasts/example.com")
//
// [Dir] is a Store in a directory of a local disk, for one machine and any number of processes
// on it. Reading costs some microseconds, writing two fsyncs. It needs nothing but the directory, and an
// operator can look into it with ls and less. When the disk is full or fails, calls
// return errors, and what was there stays.
//
// A fleet of machines needs a server that they share. There is none in this
// package, which depends on no client of one: implement Store on yours, and let
// package storetest hold it to the contract. Where others can get at that server,
// put [Sealed] around it: they can then remove what it holds, but neither read nor forge it.
//
// A [Leaser] lets one process of many do what need be done once. Dir is one, too.
//
// The Client of package mtasts takes a Store for its policies: a Dir is the one of a
// single machine, and what a fleet shares is given beside it.
package cache
