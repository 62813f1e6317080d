package outbound

import (
	"bufio"
	"bytes"
	"io"
	"net/textproto"
	"strings"
	"testing"
)

func TestNewMessage(t *testing.T) {
	tests := []struct {
		name, in, wire string
		size           int
		eightBit, utf8 bool
	}{
		{name: "line ends become CRLF", in: "a: b\n\nc\r\nd\n", wire: "a: b\r\n\r\nc\r\nd\r\n.\r\n", size: 14},
		{name: "the last line gets its end", in: "a", wire: "a\r\n.\r\n", size: 3},
		{name: "an empty message", in: "", wire: ".\r\n"},
		{name: "dots are stuffed, and do not count", in: ".\n..a\nb.\n", wire: "..\r\n...a\r\nb.\r\n.\r\n", size: 12},
		{name: "a lone CR is a line end: no second message is smuggled", in: "a\r.\rMAIL\r", wire: "a\r\n..\r\nMAIL\r\n.\r\n", size: 12},
		{name: "CR CR LF is two", in: "a\r\r\nb", wire: "a\r\n\r\nb\r\n.\r\n", size: 8},
		{name: "LF CR is two", in: "a\n\r.\n", wire: "a\r\n\r\n..\r\n.\r\n", size: 8},
		{name: "8-bit content", in: "a: b\n\nü\n", wire: "a: b\r\n\r\nü\r\n.\r\n", size: 12, eightBit: true},
		{name: "an internationalized header", in: "a: ü\n\nb\n", wire: "a: ü\r\n\r\nb\r\n.\r\n", size: 12, eightBit: true, utf8: true},
		{name: "a header alone", in: "a: ü", wire: "a: ü\r\n.\r\n", size: 7, eightBit: true, utf8: true},
		{name: "a header in Latin-1 is no UTF-8", in: "a: \xfc\n\nb\n", wire: "a: \xfc\r\n\r\nb\r\n.\r\n", size: 11, eightBit: true},
		{name: "no header at all", in: "\nü\n\nb\n", wire: "\r\nü\r\n\r\nb\r\n.\r\n", size: 11, eightBit: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMessage([]byte(tt.in))
			if string(m.wire) != tt.wire || m.size != tt.size || m.eightBit != tt.eightBit || m.utf8 != tt.utf8 {
				t.Errorf("got %q, size %d, 8-bit %v, UTF-8 %v", m.wire, m.size, m.eightBit, m.utf8)
			}
		})
	}
}

// The wire form ends once, has no lone CR or LF, and reads as the message with
// its line ends made one kind.
func FuzzNewMessage(f *testing.F) {
	for _, s := range []string{"", ".", "a\n.\nb", "a\r\n.\r\nb", "\r", "\n\r\n", "..\r..", "ü\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		m := newMessage(msg)
		bare := strings.ReplaceAll(string(m.wire), "\r\n", "")
		if strings.ContainsAny(bare, "\r\n") || !strings.HasSuffix("\r\n"+string(m.wire), "\r\n.\r\n") {
			t.Fatalf("%q became %q", msg, m.wire)
		}
		if n := strings.Count("\r\n"+string(m.wire), "\r\n.\r\n"); n != 1 {
			t.Fatalf("%q ends %d times", m.wire, n)
		}
		got, err := io.ReadAll(textproto.NewReader(bufio.NewReader(bytes.NewReader(m.wire))).DotReader())
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(msg))
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		if err != nil || string(got) != want {
			t.Fatalf("%q reads as %q, %v", msg, got, err)
		}
		if size := len(want) + strings.Count(want, "\n"); m.size != size {
			t.Fatalf("size %d, want %d", m.size, size)
		}
	})
}

func BenchmarkNewMessage(b *testing.B) {
	msg := []byte("Subject: a\n\n" + strings.Repeat(strings.Repeat("x", 76)+"\n", 1000))
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		newMessage(msg)
	}
}
