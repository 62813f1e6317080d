package resolver

import (
	"errors"
	"strings"
	"testing"
)

// wantKind wants err to be an *Error of a kind, and fit for a log.
func wantKind(t testing.TB, err error, kind Kind) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != kind {
		t.Fatalf("error = %v, want kind %q", err, kind)
	}
	if !oneLine(e.Error()) {
		t.Errorf("Error() is no short line of printable ASCII: %q", e.Error())
	}
	return e
}

// oneLine reports whether s is one line of printable ASCII of at most 512 bytes.
func oneLine(s string) bool {
	return len(s) <= 512 && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// Rule 10, R16: foreign bytes are cleaned and bounded before they reach an error.
func TestErrorReadsLikeALine(t *testing.T) {
	long := strings.Repeat("\x1b[31m\u00fc\n", 500)
	for _, tc := range []struct {
		err  *Error
		want string
	}{
		{&Error{Name: "example.com", Type: "TXT", Server: "127.0.0.1:53", Kind: KindServFail, RCode: 2,
			Extended: []ExtendedError{{6, "no signature"}, {65000, ""}}},
			`resolver: TXT example.com: servfail from 127.0.0.1:53, EDE 6 DNSSEC Bogus "no signature", EDE 65000 code`},
		{&Error{Name: "example.com", Type: "MX", Server: "127.0.0.1:53", Kind: KindRefused, RCode: 5},
			`resolver: MX example.com: refused, REFUSED from 127.0.0.1:53`},
		{&Error{Name: "example.com", Type: "MX", Server: "127.0.0.1:53", Kind: KindRefused, RCode: 3999},
			`resolver: MX example.com: refused, RCODE 3999 from 127.0.0.1:53`},
		{&Error{Name: "a b", Type: "MX", Kind: KindName, Err: errors.New("not a DNS name")},
			`resolver: MX "a b": invalid-name: not a DNS name`},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("Error() = %s\nwant      %s", got, tc.want)
		}
	}
	hostile := &Error{Name: long, Type: "TXT", Server: long, Kind: KindNetwork, Err: errors.New(long), Extended: []ExtendedError{{1, long}}}
	if !oneLine(hostile.Error()) {
		t.Errorf("Error() = %q", hostile.Error())
	}
}
