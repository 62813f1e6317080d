package tlsrpt

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// seeds are inputs of all kinds.
func seeds(t testing.TB) [][]byte {
	r := theReport(t)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	mail, err := r.Message("tls@example.com")
	if err != nil {
		t.Fatal(err)
	}
	all := [][]byte{text, mail, []byte(zipped(t, string(text)))}
	files, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err == nil { // else it is a folder
			all = append(all, b)
		}
	}
	for _, s := range []string{
		around(`{"policy":{"policy-type":"tlsa","policy-string":["[\"3 1 1 AB\",\"3 1 1 CD\"]","[\"[\\\"a\\\"]\"]"]}}`),
		around(`{"failure-details":[{"sending-mta-ip":"::ffff:192.0.2.1%1","failed-session-count":"1e3"}]}`),
		around(`{"x":"\ud83d\ude00\ud800\ud800\udc00\udc00\/\b"}`), "From \r\nContent-Type: multipart/report; boundary=x\r\n\r\n--x\r\n\r\n{\r\n--x--",
		"Content-Type: message/rfc822\r\n\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\nH4sI",
	} {
		all = append(all, []byte(s))
	}
	return all
}

// FuzzParseReport: whatever comes, the answer is an error of our type or a
// report within the bounds (R21), whose names and words are harmless; and a
// report that is printed and parsed is the same.
func FuzzParseReport(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := ParseReport(bytes.NewReader(in))
		if err != nil {
			if _, ok := errors.AsType[*ReportError](err); !ok || r != nil || len(err.Error()) > 512 || !isPrintable(err.Error()) {
				t.Fatalf("%+v, %T %q", r, err, err)
			}
			return
		}
		checkBounds(t, r)
		if words := strings.ReplaceAll(r.Text(), "\n", "") + r.Filename() + r.Subject(); !isPrintable(words) {
			t.Errorf("%q", words)
		}
		printed, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		r.Domain = "" // is not in JSON
		if back, err := ParseReport(bytes.NewReader(printed)); err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("%v\n%s\n%+v\n%+v", err, printed, r, back)
		}
		if m, err := r.Message("tls@example.com"); err == nil {
			t.Errorf("a report without a domain is a mail:\n%s", m)
		}
	})
}

func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// FuzzScanner: the scanner takes what encoding/json takes, and reads the same
// strings.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{
		``, ` `, `{}`, `[]`, `[1,-0,2.5E-3,0e+1,true,false,null,"a",{"b":[],"c":{}}]`, `{"a" : 1 , "b" : 2}`, `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{a:1}`,
		`01`, `1.`, `.1`, `-`, `1e`, `+1`, `nul`, `nulll`, `tru`, `"`, `"\`, `"\u12`, `"\u12g4"`, `"\x"`, "\"\x01\"", `"\ud800\ud800\udc00\n\ud800"`, "\"\xc3\"", `[}`, `{]`,
		`[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]`, `[1 2]`, `{"a":1 "b":2}`, `1 2`, `"` + strings.Repeat("ä", 600) + `"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s := scanner{buf: in, n: len(in)}
		var got []byte
		isString := s.peek() == '"'
		if isString {
			got = bytes.Clone(s.str(1 << 20))
		} else {
			s.skip()
		}
		ok := s.err == nil && s.peek() == 0 && s.pos == s.n
		if s.err != nil && strings.HasPrefix(s.err.Text, "nested deeper") {
			return
		}
		if want := json.Valid(in); ok != want {
			t.Fatalf("%q: %v, and for encoding/json %v (%v)", in, ok, want, s.err)
		}
		if !ok || !isString {
			return
		}
		var want string
		if err := json.Unmarshal(in, &want); err != nil || string(got) != want {
			t.Fatalf("%q: %q, want %q (%v)", in, got, want, err)
		}
		s = scanner{buf: in, n: len(in)}
		s.peek()
		if short := s.str(10); len(short) > 10 || !utf8.Valid(short) || !strings.HasPrefix(want, string(short)) || len(short) < min(len(want), 7) {
			t.Errorf("%q cut to %q", want, short)
		}
	})
}
