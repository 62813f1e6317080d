package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/strictmx/strictmx/tlsrpt"
)

// input is one report, or why there is none.
type input struct {
	report *tlsrpt.Report
	err    error // says which file, and what is wrong
}

// inputs yields the report of each file, of each file in each directory, and
// of standard input where a name is "-". One at a time is held in memory.
func inputs(names []string, stdin io.Reader) iter.Seq[input] {
	return func(yield func(input) bool) {
		for _, name := range names {
			if name == "-" {
				r, err := readReport("standard input", stdin)
				if !yield(input{r, err}) {
					return
				}
				continue
			}
			if !walk(name, yield) {
				return
			}
		}
	}
}

// walk yields what is at name, a file or a directory with all below it. Of a
// directory it takes the regular files whose names begin with no dot.
func walk(root string, yield func(input) bool) bool {
	if info, err := os.Stat(root); err == nil && info.IsDir() {
		root = strings.TrimSuffix(root, "/") + "/" // also where it is a link to one
	}
	files, more := 0, true
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		hidden := name != root && strings.HasPrefix(d.Name(), ".")
		switch {
		case err != nil:
			files++ // it is told of
			more = yield(input{err: fileError(name, err)})
		case d.IsDir() && hidden:
			return fs.SkipDir
		case d.IsDir(), hidden, name != root && !d.Type().IsRegular():
			return nil
		default:
			files++
			more = yield(readFile(name))
		}
		if !more {
			return fs.SkipAll
		}
		return nil
	})
	if err == nil && files == 0 {
		return yield(input{err: fmt.Errorf("%s: no files in this directory", root)})
	}
	return more
}

func readFile(name string) input {
	f, err := os.Open(name)
	if err != nil {
		return input{err: fileError(name, err)}
	}
	defer f.Close()
	r, err := readReport(name, f)
	return input{r, err}
}

func readReport(name string, from io.Reader) (*tlsrpt.Report, error) {
	r, err := tlsrpt.ParseReport(from)
	if err != nil {
		return nil, fileError(name, err)
	}
	return r, nil
}

// fileError names the file once.
func fileError(name string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("%s: %w", name, err)
}
