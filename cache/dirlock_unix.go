//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// nonBlock keeps a named pipe in the place of a file from holding up who opens it.
const nonBlock = syscall.O_NONBLOCK

// tryLock takes flock(2) on an open file. It ends when the file is closed, at
// the latest with the process, however that dies.
func tryLock(f *os.File) (bool, error) {
	c, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var lockErr error
	if err := c.Control(func(fd uintptr) {
		for {
			if lockErr = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB); lockErr != syscall.EINTR {
				return
			}
		}
	}); err != nil {
		return false, err
	}
	if errors.Is(lockErr, syscall.EWOULDBLOCK) {
		return false, nil
	}
	if lockErr != nil {
		return false, fmt.Errorf("cannot lock it, is it on a network file system? %w", lockErr)
	}
	return true, nil
}

// checkMode refuses a directory that others may look into or write to.
func checkMode(path string, info fs.FileInfo) error {
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o, so others can get at what it holds: chmod 0700 %s", path, perm, path)
	}
	return nil
}

// syncOf makes durable what changed in an open directory.
func syncOf(dir diskFile) error { return dir.Sync() }

func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
