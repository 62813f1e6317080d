//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package cache

import (
	"io/fs"
	"os"
)

const nonBlock = 0

// tryLock finds nobody: on this system one process uses a directory, as the
// comment of Dir asks.
func tryLock(*os.File) (bool, error) { return true, nil }

// checkMode finds nothing: the mode says nothing about who may look into it.
func checkMode(string, fs.FileInfo) error { return nil }

// syncOf does nothing: not every such system can sync a directory.
func syncOf(diskFile) error { return nil }

func isReadOnly(error) bool { return false }
