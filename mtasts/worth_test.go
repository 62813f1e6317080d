package mtasts

import (
	"strings"
	"testing"
	"time"
)

// R27: the order in which a full directory gives up what it holds is that of memory.
func TestWorth(t *testing.T) {
	value := func(mode Mode, days uint8) []byte {
		e := entry{domain: "example.com", id: "1", start: time.Unix(1, 0), used: 1, days: days, text: text(mode, day, "mx.example.com")}
		return e.encode()
	}
	key := entryKey("example.com")
	later := []byte(strings.Replace(string(value(ModeNone, 1)), "policy/1", "policy/2", 1))
	for _, c := range []struct {
		name, key string
		value     []byte
		want      int
	}{
		{"garbage goes first", key, []byte("?"), 0},
		{"a text that is no policy", key, []byte(strings.Replace(string(value(ModeEnforce, 9)), "enforce", "enforced", 1)), 0},
		{"mode none", key, value(ModeNone, 9), 0},
		{"mode testing", key, value(ModeTesting, 9), 1},
		{"enforce, used on one day", key, value(ModeEnforce, 1), 2},
		{"enforce, used on two", key, value(ModeEnforce, 2), 3},
		{"what a later release wrote", key, later, 3},
		{"what somebody else keeps", "tlsrpt/2026-01-01", []byte("?"), 3},
	} {
		if got := Worth(c.key, c.value); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
