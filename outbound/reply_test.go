package outbound

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/internal/dnsname"
)

func read(text string) (reply, error) {
	return readReply(bufio.NewReaderSize(strings.NewReader(text), maxReplyLine))
}

func TestReadReply(t *testing.T) {
	for _, r := range []struct {
		text string
		code int
		last string
		err  error
	}{
		{text: "220 mx.example.com ESMTP\r\n", code: 220, last: "mx.example.com ESMTP"},
		{text: "220\r\n", code: 220},
		{text: "220 bare LF\n", code: 220, last: "bare LF"},
		{text: "250-a\r\n250-b\r\n250 c\r\n", code: 250, last: "c"},
		{text: "250-a\r\n250\r\n", code: 250},
		{text: "", err: io.EOF},
		{text: "220 cut", err: io.EOF},
		{text: "250-a\r\n", err: io.EOF},
		{text: "\r\n", err: errNotSMTP},
		{text: "22\r\n", err: errNotSMTP},
		{text: "120 too low\r\n", err: errNotSMTP},
		{text: "620 too high\r\n", err: errNotSMTP},
		{text: "2x0 no\r\n", err: errNotSMTP},
		{text: "220_no\r\n", err: errNotSMTP},
		{text: "250-a\r\n251 b\r\n", err: errNotSMTP},
		{text: "220 " + strings.Repeat("x", maxReplyLine) + "\r\n", err: errNotSMTP},
		{text: strings.Repeat("250-x\r\n", maxPerCommand/7+1) + "250 x\r\n", err: errFlood},
	} {
		got, err := read(r.text)
		if !errors.Is(err, r.err) || got.code != r.code || r.err == nil && got.lines[len(got.lines)-1] != r.last {
			t.Errorf("%.40q: %+v, %v", r.text, got, err)
		}
	}
}

func TestOffers(t *testing.T) {
	for text, want := range map[string]bool{
		"250-mx\r\n250 STARTTLS\r\n":          true,
		"250-mx\r\n250-starttls\r\n250 X\r\n": true,
		"250-mx\r\n250 StartTLS now\r\n":      true,
		"250 STARTTLS\r\n":                    false, // the host's name
		"250-mx\r\n250 STARTTLSX\r\n":         false,
		"250-mx\r\n250  STARTTLS\r\n":         false,
		"250-mx\r\n250 \u017fTARTTLS\r\n":     false, // R22: folds to S in Unicode
	} {
		r, err := read(text)
		if err != nil || r.offers("starttls") != want {
			t.Errorf("%q: %v, %v", text, r.offers("starttls"), err)
		}
	}
}

func TestReplyStatus(t *testing.T) {
	for _, r := range []struct {
		text     string
		enforced bool
		want     status
	}{
		{"554 5.3.2 no\r\n", false, status{554, [3]int{5, 3, 2}}},
		{"554 no\r\n", false, status{554, [3]int{5, 0, 0}}},
		{"554 4.3.2 no\r\n", false, status{554, [3]int{5, 0, 0}}}, // the classes disagree
		{"554 5.-1.2 no\r\n", false, status{554, [3]int{5, 0, 0}}},
		{"421 4.7.0 no\r\n", true, status{421, [3]int{4, 7, 0}}},
		{"554 5.3.2 no\r\n", true, later}, // R12
		{"354 what?\r\n", false, broken},
	} {
		got, err := read(r.text)
		if err != nil || got.status(r.enforced) != r.want {
			t.Errorf("%q: %v, want %v", r.text, got.status(r.enforced), r.want)
		}
	}
}

// What a host says is read in bounded space, never panics, and a reply that is
// printed again reads the same.
func FuzzReadReply(f *testing.F) {
	for _, s := range []string{"220 mx.example.com ESMTP\r\n", honestEHLO, "250-a\r\n250 b\r\n", "554 5.7.1 no\r\n", "5", "250-\r\n250 \r\n", "[8.8.8.8]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if name := heloName(text); name != "" && !strings.HasPrefix(name, "[") {
			if again, err := dnsname.Host(name); err != nil || again != name {
				t.Errorf("heloName(%q) = %q", text, name)
			}
		}
		r, err := read(text)
		if err != nil {
			return
		}
		r.offers("starttls")
		if s := r.status(true); s.code >= 500 || s.code < 400 || s.enhanced[0] != 4 {
			t.Errorf("%q: status %v", text, s)
		}
		var b strings.Builder
		for i, line := range r.lines {
			sep := "-"
			if i == len(r.lines)-1 {
				sep = " "
			}
			b.WriteString(string(rune('0'+r.code/100)) + string(rune('0'+r.code/10%10)) + string(rune('0'+r.code%10)) + sep + line + "\r\n")
		}
		again, err := read(b.String())
		if b.Len() > maxPerCommand {
			return
		}
		if err != nil || again.code != r.code || strings.Join(again.lines, "\n") != strings.Join(r.lines, "\n") {
			t.Errorf("%q reads as %+v, %v, and then as %+v", text, r, err, again)
		}
	})
}

func TestLocalName(t *testing.T) {
	client, _ := pipe()
	machine, _ := os.Hostname()
	machine, err := dnsname.Host(machine)
	if err != nil {
		machine = "[9.9.9.9]"
	}
	for name, want := range map[string]string{
		"":                      machine,
		"Out.Sender.TEST.":      "out.sender.test",
		"8.8.8.8":               "[8.8.8.8]",
		"[IPv6:2001:db8::1]":    "[IPv6:2001:db8::1]",
		"evil\r\nMAIL FROM:<x>": machine, // nothing can be put into the conversation
	} {
		if got := (&Enforcer{LocalName: name}).localName(client); got != want {
			t.Errorf("LocalName %q: %q, want %q", name, got, want)
		}
	}
	if got := literal(addrOf(&net.UnixAddr{})); got != "localhost" {
		t.Errorf("no address: %q", got)
	}
}
