package outbound

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever a server says, each recipient has one receipt, which says either that
// the message was taken or why not, in clean words.
func FuzzHostileServer(f *testing.F) {
	for _, script := range []string{
		"220 hi|250 SIZE 1|250 ok|250 ok|250 ok|354 go|250 taken|221 bye",
		"220 hi|250-x\r\n250-SIZE 99999999999999999999\r\n250 PIPELINING|250 ok|250 ok\r\n550 5.1.1 no|354 go|250 taken",
		"220|250|250|421|", "554 5.7.1 \x1b[31m", "220 hi|502 no|250 helo|550 no", "220-hi\r\n221 mixed", "|||", "999 x", "220 hi|250 \xff\xfe|451 \x00",
		"220 hi|250-x\r\n250 8BITMIME|250 a|250 b|250 c|354 d|354 e",
	} {
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, none)
			w.Timeout = 100 * time.Millisecond // for a script that leaves a reply half said
			w.DialContext = func(context.Context, string, string) (net.Conn, error) {
				client, server := pipe()
				w.wg.Go(func() {
					defer server.Close()
					r := bufio.NewReader(server)
					for i, say := range strings.Split(script, "|") {
						if i > 0 {
							if _, err := r.ReadString('\n'); err != nil {
								return
							}
						}
						server.Write([]byte(say + "\r\n"))
					}
				})
				return client, nil
			}
			w.addrs["example.com"] = answer("8.8.4.1", "8.8.4.2")
			env := letter("b@example.com", "c@example.com", "nobody")
			for i, r := range w.SendMail(t.Context(), env, hello) {
				if r.Recipient != env.To[i] || r.Code < 200 || r.Code > 599 || (r.Err == nil) != (r.Code < 300) || r.Code/100 != r.EnhancedCode[0] {
					t.Errorf("%q: receipt %+v", script, r)
				}
				if r.Text != clean(r.Text, maxReplyText) || r.Err != nil && r.Err.Error() != clean(r.Err.Error(), maxErrorText) {
					t.Errorf("%q: text %q, error %v", script, r.Text, r.Err)
				}
			}
		})
	})
}
