package collect

import (
	"strings"
	"unsafe"

	"github.com/strictmx/strictmx/tlsrpt"
)

// What things cost in memory, rounded up as the allocator does. A test holds the
// sum against what the runtime says.

const (
	// mapSlot is a key and a value in a map that is half to seven eighths full.
	mapSlot = 48
	// todoSlot is a name among those to look up: at worst the only one of its line.
	todoSlot = mapSlot + 64
	// ruaRoom is kept for what the record of a pending domain will say.
	ruaRoom = 128
)

func tallyCost(domain string) int {
	return mapSlot + todoSlot + int(unsafe.Sizeof(tally{})) + stringCost(domain)
}

// stringCost is what a string of its own costs beside its header.
func stringCost(s string) int { return roundUp(len(s)) }

// roundUp is an upper bound of the size class of n bytes: classes lie an eighth
// apart, the small ones 16 bytes.
func roundUp(n int) int {
	if n <= 256 {
		return (n + 15) &^ 15
	}
	return n + n/8
}

// growCost is what appendTight adds to the memory that a slice takes.
func growCost[E any](s []E) int {
	var e E
	size := int(unsafe.Sizeof(e))
	if len(s) < cap(s) {
		return 0
	}
	return roundUp(grown(cap(s))*size) - roundUp(cap(s)*size)
}

// appendTight is append that grows by a half at most, from one: most domains
// have one policy, and most policies no failure.
func appendTight[E any](s []E, e E) []E {
	if len(s) == cap(s) {
		s = append(make([]E, 0, grown(cap(s))), s...)
	}
	return append(s, e)
}

func grown(n int) int { return n + max(n/2, 1) }

// ownString makes *s a string of our own, one that a detail has already if it
// can, and returns what that costs.
func ownString(details []tlsrpt.FailureDetail, s *string) int {
	if *s == "" {
		return 0
	}
	for i := len(details) - 1; i >= 0; i-- {
		d := &details[i]
		for _, has := range [...]string{string(d.Type), d.MXHost, d.HELO, d.Info, d.Reason} {
			if has == *s {
				*s = has
				return 0
			}
		}
	}
	*s = strings.Clone(*s)
	return stringCost(*s)
}
