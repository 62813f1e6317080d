package tagvalue

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// fields walks a record and prints each field as "name|value".
func fields(record, version string) ([]string, error) {
	var got []string
	s := Scan(record, version)
	for {
		name, value, ok := s.Next()
		if !ok {
			return got, s.Err()
		}
		got = append(got, name+"|"+value)
	}
}

func TestScan(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
		err      error
	}{
		{"a version and a field", "v=T1; id=1", []string{"id|1"}, nil},
		{"order is kept, and so are duplicates", "v=T1;b=2;a=1;b=3", []string{"b|2", "a|1", "b|3"}, nil},           // STS-23
		{"blanks and tabs around a semicolon do not count", "v=T1 \t;\t a=1\t ; b=2", []string{"a|1", "b|2"}, nil}, // STS-26
		{"a semicolon may end the record", "v=T1; a=1;", []string{"a|1"}, nil},                                     // STS-27
		{"blanks may follow it", "v=T1; a=1 ; \t", []string{"a|1"}, nil},                                           // STS-27
		{"a version alone has no fields", "v=T1", nil, nil},
		{"nor has one with a semicolon", "v=T1;", nil, nil},
		{"the name ends at the first equals sign", "v=T1; rua=https://h/?a=b", []string{"rua|https://h/?a=b"}, nil},
		{"blanks within a value are left to the caller", "v=T1; rua=a , b", []string{"rua|a , b"}, nil},
		{"blanks around the equals sign belong to name and value", "v=T1; id = 1", []string{"id | 1"}, nil}, // STS-22
		{"a value may be empty here", "v=T1; a=; b=1", []string{"a|", "b|1"}, nil},
		{"an empty field is an error", "v=T1;; a=1", nil, ErrField},                               // STS-28
		{"so is one at the end", "v=T1; a=1;;", []string{"a|1"}, ErrField},                        // STS-28
		{"also with a blank within", "v=T1; a=1; ;", []string{"a|1"}, ErrField},                   // STS-28
		{"a blank at the end wants its semicolon", "v=T1; a=1; b=2 ", []string{"a|1"}, ErrField},  // STS-28
		{"a blank after the version wants its semicolon", "v=T1 ", nil, ErrField},                 // STS-28
		{"a field without an equals sign is an error", "v=T1; a=1; b", []string{"a|1"}, ErrField}, // STS-25
		{"fields are not separated by blanks", "v=T1 a=1", nil, ErrField},
		{"a longer version is another one", "v=T10; a=1", nil, ErrVersion}, // STS-18
		{"case counts in the version", "V=T1; a=1", nil, ErrVersion},       // STS-18
		{"the version comes first", "a=1; v=T1", nil, ErrVersion},          // STS-18
		{"nothing stands before it", " v=T1; a=1", nil, ErrVersion},        // STS-18
		{"an empty record has no version", "", nil, ErrVersion},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := fields(c.in, "v=T1")
			if !slices.Equal(got, c.want) || !errors.Is(err, c.err) || (err != nil) != (c.err != nil) {
				t.Errorf("%q: %q, %v; want %q, %v", c.in, got, err, c.want, c.err)
			}
		})
	}
}

func TestSelect(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []string
		want string
		err  error
	}{
		{"no records", nil, "", ErrNone},
		{"one record", []string{"v=T1; id=1"}, "v=T1; id=1", nil},
		{"others are dropped", []string{"v=spf1 -all", "v=T1; id=1", ""}, "v=T1; id=1", nil},             // STS-14
		{"two make none", []string{"v=T1; id=1", "v=T1; id=2"}, "", ErrSeveral},                          // STS-15
		{"a malformed second one counts as one", []string{"v=T1; id=1", "v=T1; id=b-d"}, "", ErrSeveral}, // STS-15
		{"another version is no candidate", []string{"v=T2; id=1", "v=T1; id=2"}, "v=T1; id=2", nil},     // STS-19
		{"alone, it may have a blank before the semicolon", []string{"v=T1 ; id=1"}, "v=T1 ; id=1", nil}, // AMB-01
		{"among others, it may not", []string{"v=T1 ; id=1", "v=spf1"}, "", ErrNone},                     // AMB-01
		{"and the one without the blank wins", []string{"v=T1 ; id=1", "v=T1; id=2"}, "v=T1; id=2", nil}, // AMB-01
		{"alone, it may be malformed", []string{"v=T1"}, "v=T1", nil},
		{"an unrelated record is none", []string{"v=spf1 -all"}, "", ErrNone},
		{"a longer version is another one", []string{"v=T10; id=1"}, "", ErrNone}, // STS-18
		{"case counts", []string{"v=t1; id=1"}, "", ErrNone},                      // STS-18
		{"an empty record is none", []string{""}, "", ErrNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Select(c.in, "v=T1")
			if got != c.want || err != c.err {
				t.Errorf("%q: %q, %v; want %q, %v", c.in, got, err, c.want, c.err)
			}
		})
	}
}

// STS-24, STS-25
func TestNameAndValue(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "9": true, "A.b-c_d": true, strings.Repeat("x", 32): true,
		"": false, strings.Repeat("x", 33): false, "_x": false, "-x": false, ".x": false,
		"a b": false, "a\u00e9": false, "id ": false, "a=": false,
	} {
		if got := Name(s); got != want {
			t.Errorf("Name(%q) = %v", s, got)
		}
	}
	for c := range 256 {
		// %x21-3A / %x3C / %x3E-7E
		want := 0x21 <= c && c <= 0x3a || c == 0x3c || 0x3e <= c && c <= 0x7e
		if got := Value("x" + string([]byte{byte(c)})); got != want {
			t.Errorf("Value with byte %#x = %v", c, got)
		}
	}
	if Value("") {
		t.Error("an empty value is none")
	}
	for s, want := range map[string]bool{"a": true, "Z9": true, "1234": true, "": false, "12345": false, "a-b": false, "\u0661": false} {
		if got := Alphanumeric(s, 4); got != want {
			t.Errorf("Alphanumeric(%q, 4) = %v", s, got)
		}
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	txts := []string{"v=spf1 -all", "v=T1; id=20260101; a=b; c=d;"}
	if n := testing.AllocsPerRun(100, func() {
		txt, err := Select(txts, "v=T1")
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		s := Scan(txt, "v=T1")
		for {
			if _, _, ok := s.Next(); !ok {
				break
			}
			count++
		}
		if count != 3 || s.Err() != nil {
			t.Fatal(count, s.Err())
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// What was found, printed again with plain semicolons, has the same fields.
func FuzzScan(f *testing.F) {
	for _, s := range []string{"v=T1; a=1", "v=T1;a=1 ;b=2;", "v=T1;;", "v=T1", "v=T1 \t; \ta=b=c ", "v=T2; a=1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := fields(s, "v=T1")
		if err != nil {
			return
		}
		again, err := fields("v=T1;"+strings.ReplaceAll(strings.Join(got, ";"), "|", "="), "v=T1")
		if strings.Contains(s, "|") || len(got) == 0 {
			return
		}
		if err != nil || !slices.Equal(got, again) {
			t.Fatalf("%q: %q, and again %q, %v", s, got, again, err)
		}
	})
}
