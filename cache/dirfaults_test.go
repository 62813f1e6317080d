package cache

import (
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

// faultyDisk asks fault about each step before it is done, and fails with what
// that returns. A step is a word and the name of a file: "write 3f/~temp".
type faultyDisk struct {
	disk
	fault func(step string) error
}

func always(string) error { return syscall.EIO }

func (d *faultyDisk) openFile(name string, flag int) (diskFile, error) {
	step := "open "
	if flag&os.O_CREATE != 0 {
		step = "create "
	}
	if err := d.fault(step + name); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f, err := d.disk.openFile(name, flag)
	if err != nil {
		return nil, err
	}
	return &faultyFile{diskFile: f, name: name, fault: d.fault}, nil
}

func (d *faultyDisk) mkdir(name string) error {
	if err := d.fault("mkdir " + name); err != nil {
		return err
	}
	return d.disk.mkdir(name)
}

func (d *faultyDisk) rename(from, to string) error {
	if err := d.fault("rename " + to); err != nil {
		return err
	}
	return d.disk.rename(from, to)
}

func (d *faultyDisk) removeAll(name string) error {
	if err := d.fault("remove " + name); err != nil {
		return err
	}
	return d.disk.removeAll(name)
}

func (d *faultyDisk) lstat(name string) (fs.FileInfo, error) {
	if err := d.fault("stat " + name); err != nil {
		return nil, err
	}
	return d.disk.lstat(name)
}

func (d *faultyDisk) touch(name string, t time.Time) error {
	if err := d.fault("touch " + name); err != nil {
		return err
	}
	return d.disk.touch(name, t)
}

type faultyFile struct {
	diskFile
	name  string
	fault func(string) error
}

func (f *faultyFile) Read(b []byte) (int, error) {
	if err := f.fault("read " + f.name); err != nil {
		return 0, err
	}
	return f.diskFile.Read(b)
}

func (f *faultyFile) ReadAt(b []byte, off int64) (int, error) {
	if err := f.fault("read " + f.name); err != nil {
		return 0, err
	}
	return f.diskFile.ReadAt(b, off)
}

// Write writes half of it before it fails, as a full disk does.
func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.fault("write " + f.name); err != nil {
		n, _ := f.diskFile.Write(b[:len(b)/2])
		return n, err
	}
	return f.diskFile.Write(b)
}

func (f *faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.fault("write " + f.name); err != nil {
		return 0, err
	}
	return f.diskFile.WriteAt(b, off)
}

func (f *faultyFile) Stat() (fs.FileInfo, error) {
	if err := f.fault("stat " + f.name); err != nil {
		return nil, err
	}
	return f.diskFile.Stat()
}

func (f *faultyFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if err := f.fault("list " + f.name); err != nil {
		return nil, err
	}
	return f.diskFile.ReadDir(n)
}

func (f *faultyFile) Sync() error {
	if err := f.fault("sync " + f.name); err != nil {
		return err
	}
	return f.diskFile.Sync()
}

func (f *faultyFile) Close() error {
	err := f.diskFile.Close()
	if e := f.fault("close " + f.name); e != nil {
		return e
	}
	return err
}

func (f *faultyFile) tryLock() (bool, error) {
	if err := f.fault("lock " + f.name); err != nil {
		return false, err
	}
	return f.diskFile.tryLock()
}

// write reports whether a step changes the disk.
func writes(step string) bool {
	for _, w := range []string{"create", "mkdir", "rename", "remove", "touch", "write", "sync"} {
		if strings.HasPrefix(step, w+" ") {
			return true
		}
	}
	return false
}
