package resolver

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseResolvConf(t *testing.T) {
	for _, tc := range []struct {
		rule, text string
		trust      bool
		servers    string // a star marks those that are trusted
		timeout    time.Duration
		attempts   int
	}{
		{"servers in their order", "nameserver 192.0.2.1\nnameserver 2001:db8::1\n", false, "192.0.2.1:53 [2001:db8::1]:53", 0, 0},
		{"a server on loopback is trusted", "nameserver 127.0.0.53\nnameserver 192.0.2.1\n", false, "127.0.0.53:53* 192.0.2.1:53", 0, 0},
		{"no server means this machine", "# nameserver 192.0.2.1\n; options timeout:1\n", false, "127.0.0.1:53* [::1]:53*", 0, 0},
		{"an empty file means this machine", "", false, "127.0.0.1:53* [::1]:53*", 0, 0},
		{"options", "options timeout:3 attempts:4 rotate ndots:2\nnameserver 192.0.2.1", false, "192.0.2.1:53", 3 * time.Second, 4},
		{"options are bounded", "options timeout:900 attempts:900\nnameserver 192.0.2.1", false, "192.0.2.1:53", 30 * time.Second, 5},
		{"options are at least one", "options timeout:0 attempts:-1\nnameserver 192.0.2.1", false, "192.0.2.1:53", time.Second, 1},
		{"options that are no number are one", "options timeout:x attempts:\nnameserver 192.0.2.1", false, "192.0.2.1:53", time.Second, 1},
		{"trust-ad trusts all, wherever it stands", "nameserver 192.0.2.1\noptions trust-ad\nnameserver 192.0.2.2", false, "192.0.2.1:53* 192.0.2.2:53*", 0, 0},
		{"so does the field", "nameserver 192.0.2.1", true, "192.0.2.1:53*", 0, 0},
		{"a fourth server is left out", "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4", false, "192.0.2.1:53 192.0.2.2:53 192.0.2.3:53", 0, 0},
		{"what is no address is skipped", "nameserver dns.example\nnameserver\nnameserver 192.0.2.1\r\nsearch a.example\ndomain b.example\n", false, "192.0.2.1:53", 0, 0},
		{"blanks do not count", " \tnameserver\t 192.0.2.1 \n\n", false, "192.0.2.1:53", 0, 0},
		{"a zone stays with its address", "nameserver fe80::1%eth0", false, "[fe80::1%eth0]:53", 0, 0},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			cfg := parseResolvConf(tc.text, tc.trust)
			var got []string
			for _, s := range cfg.servers {
				star := ""
				if s.trusted {
					star = "*"
				}
				got = append(got, s.addr.String()+star)
			}
			if !slices.Equal(got, strings.Fields(tc.servers)) || cfg.timeout != tc.timeout || cfg.attempts != tc.attempts {
				t.Errorf("got %q, %v, %d", got, cfg.timeout, cfg.attempts)
			}
		})
	}
}

// The zero Client asks the servers of resolv.conf, and sees when it changes.
func TestResolvConfIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "resolv.conf")
		write := func(text string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var asked []string
		c := &Client{resolvConf: path, Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			asked = append(asked, address)
			return nil, net.ErrClosed
		}}
		want := func(when string, servers ...string) {
			t.Helper()
			asked = nil
			_, err := c.TXT(t.Context(), "name.test")
			wantKind(t, err, KindNetwork)
			if !slices.Equal(asked, servers) {
				t.Errorf("%s: asked %q, want %q", when, asked, servers)
			}
		}
		want("no file", "127.0.0.1:53", "[::1]:53", "127.0.0.1:53", "[::1]:53")
		write("nameserver 192.0.2.1\noptions attempts:1\n")
		want("at once", "127.0.0.1:53", "[::1]:53", "127.0.0.1:53", "[::1]:53")
		time.Sleep(recheck)
		want("a little later", "192.0.2.1:53")
		time.Sleep(recheck)
		want("unchanged", "192.0.2.1:53")
		write("nameserver 192.0.2.22\noptions attempts:1\n")
		time.Sleep(recheck)
		want("changed", "192.0.2.22:53")
		c.Attempts = 2
		want("fields win", "192.0.2.22:53", "192.0.2.22:53")
	})
}
