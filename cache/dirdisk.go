package cache

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// disk is what a Dir asks of the file system; names are below its path, with
// slashes. The tests put faults in between.
type disk interface {
	openFile(name string, flag int) (diskFile, error)
	mkdir(name string) error
	rename(from, to string) error
	removeAll(name string) error
	lstat(name string) (fs.FileInfo, error)
	touch(name string, t time.Time) error
	close() error
}

type diskFile interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	Stat() (fs.FileInfo, error)
	ReadDir(n int) ([]fs.DirEntry, error)
	Sync() error
	tryLock() (bool, error) // until Close; of the file system's, so also against other processes
}

// rootDisk is the real one. No name can lead out of an os.Root, whatever
// somebody has put inside it.
type rootDisk struct{ root *os.Root }

func (d rootDisk) openFile(name string, flag int) (diskFile, error) {
	f, err := d.root.OpenFile(name, flag|nonBlock, 0o600)
	if err != nil {
		return nil, err
	}
	return rootFile{f}, nil
}

func (d rootDisk) mkdir(name string) error                { return d.root.Mkdir(name, 0o700) }
func (d rootDisk) rename(from, to string) error           { return d.root.Rename(from, to) }
func (d rootDisk) removeAll(name string) error            { return d.root.RemoveAll(name) }
func (d rootDisk) lstat(name string) (fs.FileInfo, error) { return d.root.Lstat(name) }
func (d rootDisk) touch(name string, t time.Time) error   { return d.root.Chtimes(name, t, t) }
func (d rootDisk) close() error                           { return d.root.Close() }

type rootFile struct{ *os.File }

func (f rootFile) tryLock() (bool, error) { return tryLock(f.File) }

// readFile reads a regular file that is no longer than max. Anything else of that
// name is errTorn.
func readFile(d disk, name string, max int64) ([]byte, fs.FileInfo, error) {
	f, err := d.openFile(name, os.O_RDONLY)
	if err != nil {
		info, e := d.lstat(name)
		switch {
		case e == nil && !info.Mode().IsRegular():
			return nil, info, errTorn // such as a link to nowhere
		case e != nil && !missing(e):
			err = e
		}
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > max {
		return nil, info, errTorn
	}
	b := make([]byte, info.Size())
	n, err := io.ReadFull(f, b)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil // somebody has cut it
	}
	return b[:n], info, err
}

// writeFile writes b into a new file, durably. What was there before is removed.
func writeFile(d disk, name string, b []byte) (err error) {
	if err := d.removeAll(name); err != nil {
		return err
	}
	f, err := d.openFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			_ = d.removeAll(name) // it gives the space back at once; the next writer would do it, too
		}
	}()
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes durable what was created, renamed and removed in a directory.
func syncDir(d disk, name string) error {
	f, err := d.openFile(name, os.O_RDONLY)
	if err != nil {
		return err
	}
	return errors.Join(syncOf(f), f.Close())
}

// missing reports whether there is no such file.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
