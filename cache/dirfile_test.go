package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

var sample = record{
	key:     "mtasts/example.com",
	version: 1795478400000000000,
	expires: time.Date(2026, 12, 1, 0, 0, 0, 250_000_000, time.UTC),
	value:   []byte("version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n"),
}

// What is on disk today must be readable for ever: change the format's number with it.
func TestFileFormat(t *testing.T) {
	const body = "key mtasts/example.com\nversion 1795478400000000000\nexpires 2026-12-01T00:00:00.25Z\nlength 64\n\n" +
		"version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n"
	sum := sha256.Sum256([]byte(body))
	want := "strictmx-store 1 " + hex.EncodeToString(sum[:]) + "\n" + body
	if got := string(sample.encode()); got != want {
		t.Errorf("encode:\n%s\nwant:\n%s", got, want)
	}
	if r, err := decode([]byte(want)); err != nil || !equal(r, sample) {
		t.Errorf("decode = %v, %v", r, err)
	}
	never := sample
	never.expires = time.Time{}
	if text := string(never.encode()); !strings.Contains(text, "\nexpires never\n") {
		t.Errorf("%s: does not say that it never expires", text)
	}
}

func equal(a, b record) bool {
	return a.key == b.key && a.version == b.version && a.expires.Equal(b.expires) && bytes.Equal(a.value, b.value)
}

func TestATornFileIsNoEntry(t *testing.T) {
	whole := sample.encode()
	for n := range whole {
		if r, err := decode(whole[:n]); !errors.Is(err, errTorn) {
			t.Errorf("the first %d bytes: %v, %v; want errTorn", n, r, err)
		}
		zeros := append(bytes.Clone(whole[:n]), make([]byte, len(whole)-n)...) // as file systems leave it after a crash
		if r, err := decode(zeros); !errors.Is(err, errTorn) {
			t.Errorf("zeros from %d on: %v, %v; want errTorn", n, r, err)
		}
		for _, bit := range []byte{1, 0x20, 0x80} {
			flipped := bytes.Clone(whole)
			flipped[n] ^= bit
			if r, err := decode(flipped); err == nil {
				t.Errorf("byte %d changed by %#x: %v, want an error", n, bit, r)
			}
		}
	}
	if r, err := decode(append(whole, '\n')); !errors.Is(err, errTorn) {
		t.Errorf("a byte too many: %v, %v; want errTorn", r, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	sealed := func(body string) string {
		sum := sha256.Sum256([]byte(body))
		return "strictmx-store 1 " + hex.EncodeToString(sum[:]) + "\n" + body
	}
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"a later format", "strictmx-store 2\nanything", ErrNewerFormat},
		{"a much later format", "strictmx-store 10 x y z\nanything", ErrNewerFormat},
		{"a format that is no number", "strictmx-store one x\nanything", errTorn},
		{"another program's file", "#!/bin/sh\n", errTorn},
		{"no line", strings.Repeat("x", 5000), errTorn},
		{"no empty line", sealed("key a\nversion 1\nexpires never\nlength 0\n"), errTorn},
		{"no key", sealed("version 1\nexpires never\nlength 0\n\n"), errTorn},
		{"a key that can be none", sealed("key ../a\nversion 1\nexpires never\nlength 0\n\n"), errTorn},
		{"a version that is no number", sealed("key a\nversion x\nexpires never\nlength 0\n\n"), errTorn},
		{"a time that is none", sealed("key a\nversion 1\nexpires soon\nlength 0\n\n"), errTorn},
		{"another length", sealed("key a\nversion 1\nexpires never\nlength 1\n\n"), errTorn},
		{"another order", sealed("version 1\nkey a\nexpires never\nlength 0\n\n"), errTorn},
		{"one line more", sealed("key a\nversion 1\nexpires never\nlength 0\nmore\n\n"), errTorn},
		{"a header without end", sealed("key a\nversion 1\nexpires never\nlength 0" + strings.Repeat("\nx", 1000) + "\n\n"), errTorn},
		{"a value over the limit", sealed(fmt.Sprintf("key a\nversion 1\nexpires never\nlength %d\n\n%s", MaxValue+1, strings.Repeat("x", MaxValue+1))), errTorn},
	} {
		if r, err := decode([]byte(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%s: %.100v, %v; want %v", c.name, r, err, c.want)
		}
	}
	if _, err := decode([]byte(sealed("key a\nversion 1\nexpires never\nlength 0\n\n"))); err != nil {
		t.Errorf("a right one: %v", err)
	}
}

// What decodes is encoded to what decodes to the same; no input makes it panic.
func FuzzDecode(f *testing.F) {
	f.Add(sample.encode())
	f.Add(record{key: "a", version: -1}.encode())
	f.Add([]byte("strictmx-store 2 \n"))
	f.Add([]byte("strictmx-store 1 \n\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode(b)
		if err != nil {
			// The fuzzer finds no checksum: what lies behind it is tried with a right one.
			if i := bytes.IndexByte(b, '\n'); i >= 0 {
				sum := sha256.Sum256(b[i+1:])
				r, err = decode(append([]byte("strictmx-store 1 "+hex.EncodeToString(sum[:])+"\n"), b[i+1:]...))
			}
		}
		if err != nil {
			return
		}
		if again, err := decode(r.encode()); err != nil || !equal(again, r) {
			t.Errorf("%q was read as %v and is now %v, %v", b, r, again, err)
		}
	})
}

func TestNamesOfFiles(t *testing.T) {
	for key, want := range map[string]string{
		"mtasts/example.com":                 "mtasts+example.com",
		"mtasts/_25._tcp.xn--bcher-kva":      "mtasts+_25._tcp.xn--bcher-kva",
		"report/2026-11-24/example.com":      "report+2026-11-24+example.com",
		"a+b":                                "a%2bb",
		"A":                                  "%41",
		".tmp":                               "%2etmp",
		"a.":                                 "a%2e",
		"~temp":                              "%7etemp",
		"%41":                                "%2541",
		"mtasts/" + strings.Repeat("x", 193): "mtasts+" + strings.Repeat("x", 193),
	} {
		s := spotOf(key)
		if s.name != want {
			t.Errorf("%q is in %q, want %q", key, s.name, want)
		}
		if got, ok := keyOf(s.name); !ok || got != key {
			t.Errorf("%q is of %q, %v; want %q", s.name, got, ok, key)
		}
	}
	long := strings.Repeat("x", 201)
	name := spotOf(long).name
	if key, ok := keyOf(name); !ok || key != "" || len(name) != maxName || !strings.HasPrefix(name, "xxxxxxx") {
		t.Errorf("%q is of %q, %v; want a name of %d bytes that does not tell", name, key, ok, maxName)
	}
	for _, name := range []string{"", "README.md~", ".DS_Store", "#a#", "mtasts+Example.com", "a%2", "a%zz", "a%61", "+a", "a++b", "~temp", "a b", "a\x00", "..", "%2E", leaseMark + "a"} {
		if key, ok := keyOf(name); ok {
			t.Errorf("%q is taken for the file of %q", name, key)
		}
	}
}
