package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// replaceFile writes a file whole or not at all: whoever looks meanwhile, a
// browser or a web server, sees the old one or the new one.
func replaceFile(name string, write func(io.Writer) error) (err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return writeThrough(name, write) // a pipe or a device is not to be replaced
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".report-*")
	if err != nil {
		return fileError(name, err)
	}
	defer func() {
		f.Close() // for the second time if all went well, which does nothing
		if err != nil {
			os.Remove(f.Name())
			err = fileError(name, err)
		}
	}()
	w := bufio.NewWriter(f)
	if err = write(w); err != nil {
		return err
	}
	if err = w.Flush(); err != nil {
		return err
	}
	if err = f.Chmod(mode(name)); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func writeThrough(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return fileError(name, err)
	}
	w := bufio.NewWriter(f)
	if err := errors.Join(write(w), w.Flush(), f.Close()); err != nil {
		return fileError(name, err)
	}
	return nil
}

// mode is that of the file to replace. A new one is for its owner alone: it
// says who sends mail to whom.
func mode(name string) os.FileMode {
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
		return info.Mode().Perm()
	}
	return 0o600
}
