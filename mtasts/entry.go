package mtasts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/internal/tagvalue"
)

// An entry is what a Store keeps of a policy, under the key "mtasts/" and the
// domain. It is text, for an operator to read:
//
//	strictmx-policy/1
//	domain: example.com
//	id: 20260101T000000
//	fetched: 2026-01-01T10:00:00.123456789Z
//	used: 2026-01-04
//	days: 3
//
//	version: STSv1
//	mode: enforce
//	mx: mail.example.com
//	max_age: 604800
//
// First the format and its version; then fields in any order, of which those
// that are not known are skipped, so that a later release may add some; then an
// empty line; then the policy as served, to the end. A release that reads
// version 2 reads version 1 as well.
//
// What the policy says and when it expires are not kept but worked out anew from
// the text each time it is read (R6).
type entry struct {
	domain string
	id     string    // of the record under which it was fetched
	start  time.Time // of the GET, by the wall clock of that time
	met    time.Time // when it was first read though its start was yet to come; zero: never
	used   int64     // the day of its last use, counted from 1970-01-01; 0: none
	days   uint8     // on how many days it was used, up to 255
	text   string
}

const (
	entryFormat  = "strictmx-policy/"
	entryVersion = "1"
	entryPrefix  = "mtasts/" // of the keys
	maxEntry     = 128 << 10 // R6

	secondsPerDay = 24 * 60 * 60
)

var (
	// errEntryNewer: a later release wrote it. What it says is not known.
	errEntryNewer = errors.New("mtasts: the entry was written by a later release; go back to that one, or remove it")
	// errEntryInvalid: it says nothing, and was never an entry of this domain's.
	errEntryInvalid = errors.New("mtasts: not an entry of this domain's")
)

func entryKey(domain string) string { return entryPrefix + domain }

// entryDomain is the domain of a key, or "" if no domain has that key.
func entryDomain(key string) string {
	name, ok := strings.CutPrefix(key, entryPrefix)
	if canonical, err := dnsname.Domain(name); !ok || err != nil || canonical != name {
		return ""
	}
	return name
}

// version is by what entries of a domain are told newer from older (R5): the
// start of the GET in nanoseconds, and of one GET the day of the last use.
func (e *entry) version() int64 {
	const most = 10_000 // days: far more than any policy lives, far less than between two GETs
	v := e.start.UnixNano() + min(max(e.used-e.start.Unix()/secondsPerDay, 0), most)
	if !e.met.IsZero() {
		v += most + 1
	}
	return v
}

func (e *entry) encode() []byte {
	b := make([]byte, 0, 256+len(e.text))
	b = append(b, entryFormat+entryVersion+"\n"...)
	b = fmt.Appendf(b, "domain: %s\nid: %s\nfetched: %s\n", e.domain, e.id, e.start.UTC().Format(time.RFC3339Nano))
	if e.used > 0 {
		b = fmt.Appendf(b, "used: %s\ndays: %d\n", time.Unix(e.used*secondsPerDay, 0).UTC().Format(time.DateOnly), e.days)
	}
	if !e.met.IsZero() {
		b = fmt.Appendf(b, "met: %s\n", e.met.UTC().Format(time.RFC3339Nano))
	}
	b = append(b, '\n')
	return append(b, e.text...)
}

// decodeEntry reads the entry of a domain. Nothing in it is believed that does
// not have the form which encode gives it. Whether the text is a policy is
// another question.
func decodeEntry(domain, value string) (entry, error) {
	if len(value) > maxEntry {
		return entry{}, errEntryInvalid
	}
	format, rest, _ := strings.Cut(value, "\n")
	version, ok := strings.CutPrefix(format, entryFormat)
	if !ok || version != entryVersion {
		if n, err := strconv.ParseUint(version, 10, 16); ok && err == nil && n > 1 {
			return entry{}, errEntryNewer
		}
		return entry{}, errEntryInvalid
	}
	var e entry
	seen := make(map[string]bool)
	for {
		var line string
		line, rest, ok = strings.Cut(rest, "\n")
		if !ok {
			return entry{}, errEntryInvalid // no empty line ends the fields
		}
		if line == "" {
			break
		}
		key, value, ok := strings.Cut(line, ": ")
		if !ok || seen[key] || !e.field(key, value) {
			return entry{}, errEntryInvalid
		}
		seen[key] = true
	}
	if e.text = rest; e.domain != domain || e.id == "" || e.start.IsZero() {
		return entry{}, errEntryInvalid
	}
	return e, nil
}

// field takes one field, and reports whether it is well formed.
func (e *entry) field(key, value string) (ok bool) {
	switch key {
	case "domain":
		e.domain = value
	case "id":
		e.id = value
		return tagvalue.Alphanumeric(value, maxID)
	case "fetched":
		var err error
		e.start, err = time.Parse(time.RFC3339Nano, value)
		// Nanoseconds since 1970 are an int64 until 2262.
		return err == nil && e.start.Year() >= 1970 && e.start.Year() < 2262 && e.start.Unix() > 0
	case "met":
		var err error
		e.met, err = time.Parse(time.RFC3339Nano, value)
		return err == nil && !e.met.IsZero()
	case "used":
		t, err := time.Parse(time.DateOnly, value)
		e.used = t.Unix() / secondsPerDay
		return err == nil && e.used > 0
	case "days":
		n, err := strconv.ParseUint(value, 10, 8)
		e.days = uint8(n)
		return err == nil
	}
	return true
}
