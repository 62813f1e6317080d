//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package cache

import (
	"syscall"
	"testing"
)

func mkfifo(tb testing.TB, name string) {
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		tb.Fatal(err)
	}
}
