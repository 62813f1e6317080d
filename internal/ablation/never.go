//go:build !ablation

package ablation

// Off reports whether a rule is switched off: never.
func Off(Rule) bool { return false }

// Kept is kept.
func Kept[T any](_ Rule, kept, _ T) T { return kept }
