package mtasts

import (
	"strings"
	"testing"
	"time"
)

func goodEntry() entry {
	return entry{
		domain: "example.com", id: "20260101", start: time.Date(2026, 1, 1, 10, 0, 0, 123456789, time.UTC),
		used: 20457, days: 3, text: "version: STSv1\r\nmode: none\r\n\r\nmax_age: 86400\r\n",
	}
}

func TestEntryIsReadBack(t *testing.T) {
	e := goodEntry()
	for _, e := range []entry{e, {domain: e.domain, id: e.id, start: e.start, text: ""}} {
		got, err := decodeEntry("example.com", string(e.encode()))
		if err != nil || got != e {
			t.Errorf("%+v, %v; want %+v", got, err, e)
		}
	}
}

// The form that this release writes is read by every later one: this is it.
func TestEntryFormat(t *testing.T) {
	e := goodEntry()
	want := "strictmx-policy/1\ndomain: example.com\nid: 20260101\nfetched: 2026-01-01T10:00:00.123456789Z\nused: 2026-01-04\ndays: 3\n\n" + e.text
	if got := string(e.encode()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	later := strings.Replace(want, "\nid:", "\nlater: what is that?\nid:", 1)
	if got, err := decodeEntry("example.com", later); err != nil || got != e {
		t.Errorf("with a field of a later release: %+v, %v", got, err)
	}
}

func TestHostileEntries(t *testing.T) {
	e := goodEntry()
	good := string(e.encode())
	for _, c := range []struct {
		name, value string
		want        error
	}{
		{"nothing", "", errEntryInvalid},
		{"garbage", "\x00\xff\n\n", errEntryInvalid},
		{"another format", strings.Replace(good, "policy/1", "policy/x", 1), errEntryInvalid},
		{"version 0", strings.Replace(good, "policy/1", "policy/0", 1), errEntryInvalid},
		{"version -1", strings.Replace(good, "policy/1", "policy/-1", 1), errEntryInvalid},
		{"version 2 is a later release's", strings.Replace(good, "policy/1", "policy/2", 1), errEntryNewer},
		{"another domain", strings.Replace(good, "example.com", "example.net", 1), errEntryInvalid},
		{"no domain", strings.Replace(good, "domain: example.com\n", "", 1), errEntryInvalid},
		{"a field twice", strings.Replace(good, "id: ", "id: x\nid: ", 1), errEntryInvalid},
		{"no id", strings.Replace(good, "id: 20260101\n", "", 1), errEntryInvalid},
		{"an id that is none", strings.Replace(good, "id: 20260101", "id: a b", 1), errEntryInvalid},
		{"no start", strings.Replace(good, "fetched: 2026-01-01T10:00:00.123456789Z\n", "", 1), errEntryInvalid},
		{"a start before 1970", strings.Replace(good, "fetched: 2026", "fetched: 1926", 1), errEntryInvalid},
		{"a start after 2262", strings.Replace(good, "fetched: 2026", "fetched: 9926", 1), errEntryInvalid},
		{"negative days", strings.Replace(good, "days: 3", "days: -3", 1), errEntryInvalid},
		{"too many days", strings.Replace(good, "days: 3", "days: 256", 1), errEntryInvalid},
		{"a day that is none", strings.Replace(good, "used: 2026-01-04", "used: 2026-13-04", 1), errEntryInvalid},
		{"no end of the fields", "strictmx-policy/1\ndomain: example.com\nid: 1", errEntryInvalid},
		{"too long", good + strings.Repeat("\n", maxEntry), errEntryInvalid}, // R6
	} {
		if got, err := decodeEntry("example.com", c.value); err != c.want {
			t.Errorf("%s: %+v, %v; want %v", c.name, got, err, c.want)
		}
	}
	if decoded, err := decodeEntry("example.net", good); err == nil {
		t.Errorf("under another key: %+v", decoded)
	}
}

// R5: a later GET counts more, and of one GET the later use.
func TestEntryVersion(t *testing.T) {
	e := goodEntry()
	later, used, early := e, e, e
	later.start = e.start.Add(time.Millisecond)
	used.used++
	early.used = 0
	if !(early.version() < e.version() && e.version() < used.version() && used.version() < later.version()) {
		t.Error(early.version(), e.version(), used.version(), later.version())
	}
}

func TestEntryDomain(t *testing.T) {
	for key, want := range map[string]string{
		entryKey("example.com"): "example.com", "mtasts/Example.com": "", "mtasts/": "", "mtasts/a/b": "", "tlsrpt/example.com": "", "mtasts/example.com.": "",
	} {
		if got := entryDomain(key); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

func FuzzDecodeEntry(f *testing.F) {
	e := goodEntry()
	f.Add("example.com", string(e.encode()))
	f.Add("example.com", "strictmx-policy/1\ndomain: example.com\nid: 1\nfetched: 2026-01-01T10:00:00,5Z\nused: 1970-01-02\n\n")
	f.Add("example.com", "strictmx-policy/2\n\n")
	f.Fuzz(func(t *testing.T, domain, value string) {
		e, err := decodeEntry(domain, value)
		if err != nil {
			return
		}
		if e.domain != domain || e.start.UnixNano() <= 0 || e.version() < e.start.UnixNano() {
			t.Fatalf("%+v", e)
		}
		if e.used == 0 {
			e.days = 0 // says nothing
		}
		again, err := decodeEntry(domain, string(e.encode()))
		if err != nil || again.start.UnixNano() != e.start.UnixNano() || again.id != e.id || again.text != e.text || again.used != e.used || again.days != e.days {
			t.Fatalf("%+v, %v; want %+v", again, err, e)
		}
	})
}
