package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A file of a Dir is an entry: a header in words, an empty line, and the value
// as it is.
//
//	strictmx-store 1 4b1c...64 hexadecimal digits...
//	key mtasts/example.com
//	version 1795478400000000000
//	expires 2026-12-01T00:00:00.25Z
//	length 94
//
//	version: STSv1...
//
// The digits are the SHA-256 of all that follows the first line, so that
// "tail -n +2 FILE | sha256sum" shows them, too. What never expires says "expires never". A
// number other than 1 is another format, and nothing else can be said about such a file.
const (
	fileMagic   = "strictmx-store "
	fileFormat  = "1"
	maxHeader   = 1024 // of which a key takes half
	maxFileSize = maxHeader + MaxValue
	neverText   = "never"
)

// record is what a file holds.
type record struct {
	key     string
	version int64
	expires time.Time // zero: never
	value   []byte
}

func (r record) over(now time.Time) bool { return !r.expires.IsZero() && !now.Before(r.expires) }

var (
	errTorn    = errors.New("not an entry, or not the whole of one") // the file is to be set aside
	errForeign = errors.New("an entry of another key")               // and so is this
)

// encode returns the text of a file.
func (r record) encode() []byte {
	expires := neverText
	if !r.expires.IsZero() {
		expires = r.expires.UTC().Format(time.RFC3339Nano)
	}
	const first = len(fileMagic) + len(fileFormat) + 1 + 2*sha256.Size + 1
	b := make([]byte, first, first+len(r.key)+len(r.value)+128)
	b = fmt.Appendf(b, "key %s\nversion %d\nexpires %s\nlength %d\n\n", r.key, r.version, expires, len(r.value))
	b = append(b, r.value...)
	sum := sha256.Sum256(b[first:])
	n := copy(b, fileMagic+fileFormat+" ")
	n += hex.Encode(b[n:], sum[:])
	b[n] = '\n'
	return b
}

// decode reads the text of a file, which may be anything. The value is a part of b.
func decode(b []byte) (record, error) {
	first, rest, ok := bytes.Cut(b[:min(len(b), maxHeader)], []byte("\n"))
	magic, isOurs := strings.CutPrefix(string(first), fileMagic)
	format, sum, _ := strings.Cut(magic, " ")
	if !ok || !isOurs || !isNumber(format) {
		return record{}, errTorn
	}
	if format != fileFormat {
		return record{}, fmt.Errorf("%w: format %.20s", ErrNewerFormat, format)
	}
	body := b[len(first)+1:]
	if got := sha256.Sum256(body); hex.EncodeToString(got[:]) != sum {
		return record{}, errTorn
	}
	header, _, ok := bytes.Cut(rest, []byte("\n\n"))
	if !ok {
		return record{}, errTorn
	}
	return decodeHeader(string(header), body[len(header)+2:])
}

// decodeHeader reads the lines below the first. Their checksum is right, so
// whatever is wrong with them was written like that; it is no entry all the same.
func decodeHeader(header string, value []byte) (record, error) {
	var r record
	var length string
	for _, field := range []struct {
		name string
		to   func(string) error
	}{
		{"key", func(s string) error { r.key = s; return CheckKey(s) }},
		{"version", func(s string) (err error) { r.version, err = strconv.ParseInt(s, 10, 64); return err }},
		{"expires", func(s string) (err error) {
			if s != neverText {
				r.expires, err = time.Parse(time.RFC3339Nano, s)
			}
			return err
		}},
		{"length", func(s string) error { length = s; return nil }},
	} {
		var line string
		line, header, _ = strings.Cut(header, "\n")
		text, ok := strings.CutPrefix(line, field.name+" ")
		if !ok || field.to(text) != nil {
			return record{}, errTorn
		}
	}
	if header != "" || length != strconv.Itoa(len(value)) || len(value) > MaxValue {
		return record{}, errTorn
	}
	r.value = value
	return r, nil
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
