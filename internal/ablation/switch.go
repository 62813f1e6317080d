//go:build ablation

package ablation

import "sync/atomic"

var off atomic.Uint32 // the one rule that is switched off; the only reason for the build tag

// Switch switches off that rule and no other; None: all are kept.
func Switch(r Rule) { off.Store(uint32(r)) }

// Off reports whether a rule is switched off.
func Off(r Rule) bool { return Rule(off.Load()) == r }

// Kept is kept, or instead where the rule is switched off.
func Kept[T any](r Rule, kept, instead T) T {
	if Off(r) {
		return instead
	}
	return kept
}
