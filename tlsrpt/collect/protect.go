package collect

import "fmt"

// protect turns a panic, of something that the caller plugged in, into an
// error (R20). The error names the type of what was thrown and not its text, which
// may be a stranger's.
func protect(what string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("collect: panic in %s: %T", what, v)
		}
	}()
	return f()
}
