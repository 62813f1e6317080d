package main

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// replaceFile writes a file whole or not at all: whoever looks meanwhile, a
// browser or a web server, sees the old one or the new one.
func replaceFile(name string, write func(io.Writer) error) (err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return writeThrough(name, write) // a pipe or a device is not to be replaced
	}
	if err := pageOrNothing(name); err != nil {
		return fileError(name, err)
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

const pageStart = "<!DOCTYPE html>"

// pageOrNothing refuses to replace what is no page, such as the report that
// somebody meant to have shown.
func pageOrNothing(name string) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	start, err := io.ReadAll(io.LimitReader(f, int64(len(pageStart))))
	if err == nil && len(start) > 0 && string(start) != pageStart {
		err = errors.New("there is a file that is no page, and it is left as it is: -html names the page to write")
	}
	return err
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
