package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAPageIsWrittenWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "page.html")
	put := func(text string, then error) error {
		return replaceFile(name, func(w io.Writer) error {
			if _, err := io.WriteString(w, text); err != nil {
				return err
			}
			return then
		})
	}
	if err := put(pageStart+"first", nil); err != nil {
		t.Fatal(err)
	}
	if got := modeOfFile(t, name); got != 0o600 {
		t.Errorf("a new page has mode %v", got)
	}
	if err := os.Chmod(name, 0o644); err != nil { // for a web server
		t.Fatal(err)
	}
	if err := put("second, half of it", errors.New("no more")); err == nil || !strings.Contains(err.Error(), "page.html: no more") {
		t.Error(err)
	}
	if b, _ := os.ReadFile(name); string(b) != pageStart+"first" {
		t.Errorf("a page that failed left %q", b)
	}
	if err := put(pageStart+"third", nil); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(name); string(b) != pageStart+"third" || modeOfFile(t, name) != 0o644 {
		t.Errorf("%q, mode %v", b, modeOfFile(t, name))
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func modeOfFile(t *testing.T, name string) os.FileMode {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestAFileThatIsNoPageIsLeftAsItIs(t *testing.T) {
	name := filepath.Join(t.TempDir(), "mine.json")
	for _, was := range []string{`{"organization-name": "mine"}`, "<", "<!doctype"} {
		if err := os.WriteFile(name, []byte(was), 0o600); err != nil {
			t.Fatal(err)
		}
		status, _, errs := report(t, nil, "-html", name, "-sample")
		if b, _ := os.ReadFile(name); status != exitOutput || string(b) != was || !strings.Contains(errs, "left as it is") {
			t.Errorf("status %d, %q became %q: %s", status, was, b, errs)
		}
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := report(t, nil, "-html", name, "-sample"); status != exitDone {
		t.Errorf("an empty file is not replaced: status %d, %s", status, errs)
	}
}

func TestWhereNoPageCanBe(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{filepath.Join(dir, "gone", "page.html"), dir} {
		status, out, errs := report(t, nil, "-html", name, "-sample")
		if status != exitOutput || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, name) {
			t.Errorf("status %d, %s%s", status, out, errs)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

func TestADeviceIsWrittenToAndNotReplaced(t *testing.T) {
	if status, _, errs := report(t, nil, "-html", os.DevNull, "-sample"); status != exitDone {
		t.Fatal(errs)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		t.Fatalf("%v is no device any more: %v", os.DevNull, err)
	}
	if err := replaceFile(os.DevNull, func(io.Writer) error { return errors.New("no more") }); err == nil {
		t.Error("an error was lost")
	}
}
