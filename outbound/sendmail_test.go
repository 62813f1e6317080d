package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/resolver"
)

func letter(to ...string) Envelope { return Envelope{From: "a@sender.test", To: to} }

var hello = []byte("Subject: hello\n\n.dot\n")

const helloOnWire = "Subject: hello\r\n\r\n..dot\r\n.\r\n"

// show is a Receipt in a few words: "b@example.com 250 2.0.0 mx.example.com verified",
// with "!" in front where it is to be returned, and "~" where tried again.
func show(r Receipt) string {
	mark := "! "
	switch {
	case r.Temporary():
		mark = "~ "
	case r.Err == nil:
		mark = ""
	}
	s := fmt.Sprintf("%s%s %d %s %s", mark, r.Recipient, r.Code, dotted(r.EnhancedCode), r.Host)
	if r.Err == nil || r.Level != Clear {
		s += " " + r.Level.String()
	}
	return strings.TrimSpace(s)
}

func showAll(receipts []Receipt) []string {
	var s []string
	for _, r := range receipts {
		s = append(s, show(r))
	}
	return s
}

// I1: one message, the whole way, under an enforce policy.
func TestSendMail(t *testing.T) {
	w := newWorld(t, enforcing())
	w.publish("example.com", mx(10, "mx.example.com"))
	s := w.host("mx.example.com", "8.8.4.1")
	got := w.SendMail(t.Context(), letter("b@example.com"), hello)
	if want := []string{"b@example.com 250 2.0.0 mx.example.com verified"}; !slices.Equal(showAll(got), want) {
		t.Errorf("receipts %q", showAll(got))
	}
	if got[0].Text != "queued as 7" || got[0].Domain != "example.com" || got[0].Temporary() {
		t.Errorf("receipt %+v", got[0])
	}
	if mail := s.got(); !slices.Equal(mail, []string{helloOnWire}) {
		t.Errorf("the host got %q", mail)
	}
	want := []string{"EHLO out.sender.test", "STARTTLS", "EHLO out.sender.test", "MAIL FROM:<a@sender.test>", "RCPT TO:<b@example.com>", "DATA", "QUIT"}
	if got := s.heard(""); !slices.Equal(got, want) {
		t.Errorf("the host heard %q", got)
	}
	if got := w.events.told(t); got != "sts" {
		t.Errorf("told %q", got)
	}
}

// One transaction for each domain, and a receipt for each recipient where the
// caller has it.
func TestSendMailToManyDomains(t *testing.T) {
	w := newWorld(t, none)
	var servers []*server
	for i := range 12 {
		servers = append(servers, w.host(fmt.Sprintf("d%d.test", i), fmt.Sprintf("8.8.4.%d", i)))
	}
	var to, want []string
	for i := range 36 {
		rcpt := fmt.Sprintf("u%d@D%d.test.", i, i%12) // two spellings of a domain are one
		if i%2 == 0 {
			rcpt = fmt.Sprintf("u%d@d%d.test", i, i%12)
		}
		to = append(to, rcpt)
		want = append(want, fmt.Sprintf("%s 250 2.0.0 d%d.test verified", rcpt, i%12))
	}
	to, want = append(to, "nobody"), append(want, "! nobody 553 5.1.3")
	if got := showAll(w.SendMail(t.Context(), letter(to...), hello)); !slices.Equal(got, want) {
		t.Errorf("receipts %q", got)
	}
	for _, s := range servers {
		if n := len(s.got()); n != 1 || len(s.heard("RCPT")) != 3 || len(s.heard("MAIL")) != 1 {
			t.Errorf("%s took %d messages and heard %q", s.name, n, s.heard(""))
		}
	}
	if got := w.SendMail(t.Context(), letter(), hello); len(got) != 0 {
		t.Errorf("receipts for nobody: %v", got)
	}
}

// What a host says to each step, and what becomes of the recipients. The
// domain's second host takes everything.
func TestRepliesDecide(t *testing.T) {
	const b, c = "RCPT TO:<b@example.com>", "RCPT TO:<c@example.com>"
	second := []string{"b@example.com 250 2.0.0 mx2.example.com verified", "c@example.com 250 2.0.0 mx2.example.com verified"}
	all := func(format string) []string { return []string{fmt.Sprintf(format, "b"), fmt.Sprintf(format, "c")} }
	tests := []struct {
		name  string
		says  map[string]string
		want  []string
		first int // messages that the first host took
	}{
		{"a refused greeting leads to the next host", map[string]string{"connect": "554 no"}, second, 0},
		{"a closed connection as well", map[string]string{"connect": ""}, second, 0},
		{"what is no SMTP as well", map[string]string{"MAIL": "hello"}, second, 0},
		{"MAIL, not now: the next host", map[string]string{"MAIL": "451 4.3.0 later"}, second, 0},
		{"MAIL, a reply without meaning: the next host", map[string]string{"MAIL": "354 what"}, second, 0},
		{"MAIL, never: returned", map[string]string{"MAIL": "550 5.7.1 not you"}, all("! %s@example.com 550 5.7.1 mx1.example.com verified"), 0},
		{"MAIL, hung up: the next host", map[string]string{"MAIL": ""}, second, 0},
		{"one recipient refused: the other gets it", map[string]string{b: "550 5.1.1 unknown"},
			[]string{"! b@example.com 550 5.1.1 mx1.example.com verified", "c@example.com 250 2.0.0 mx1.example.com verified"}, 1},
		{"one recipient deferred: the other gets it", map[string]string{c: "450 greylisted"},
			[]string{"b@example.com 250 2.0.0 mx1.example.com verified", "~ c@example.com 450 4.0.0 mx1.example.com verified"}, 1},
		{"no recipient taken: no message sent", map[string]string{b: "550 5.1.1 unknown", c: "450 4.2.1 busy"},
			[]string{"! b@example.com 550 5.1.1 mx1.example.com verified", "~ c@example.com 450 4.2.1 mx1.example.com verified"}, 0},
		{"will forward is taken", map[string]string{b: "251 2.1.5 elsewhere"}, all("%s@example.com 250 2.0.0 mx1.example.com verified"), 1},
		{"552 for want of room in the envelope is temporary", map[string]string{c: "552 too many recipients"}, // RFC 5321, section 4.5.3.1.10
			[]string{"b@example.com 250 2.0.0 mx1.example.com verified", "~ c@example.com 452 4.5.3 mx1.example.com verified"}, 1},
		{"552 for a full mailbox is not", map[string]string{c: "552 5.2.2 mailbox full"},
			[]string{"b@example.com 250 2.0.0 mx1.example.com verified", "! c@example.com 552 5.2.2 mx1.example.com verified"}, 1},
		{"closing down at RCPT: what was said stands, the rest is for the next host", map[string]string{b: "550 5.1.1 unknown", c: "421 bye"},
			[]string{"! b@example.com 550 5.1.1 mx1.example.com verified", second[1]}, 0},
		{"closing down at the first RCPT", map[string]string{b: "421 bye"}, second, 0},
		{"hung up at RCPT: as well", map[string]string{b: "550 5.1.1 unknown", c: ""},
			[]string{"! b@example.com 550 5.1.1 mx1.example.com verified", second[1]}, 0},
		{"DATA, not now: the next host", map[string]string{"DATA": "451 later"}, second, 0},
		{"DATA, never: returned", map[string]string{"DATA": "554 5.6.0 no"}, all("! %s@example.com 554 5.6.0 mx1.example.com verified"), 0},
		{"DATA, a reply without meaning: the next host", map[string]string{"DATA": "250 ok"}, second, 0},
		{"DATA, hung up: the next host", map[string]string{"DATA": ""}, second, 0},
		{"the message, not now: it was looked at, and is not offered elsewhere", map[string]string{".": "451 4.7.1 greylisted"},
			all("~ %s@example.com 451 4.7.1 mx1.example.com verified"), 1},
		{"the message, never: returned", map[string]string{".": "554-5.7.1 spam\r\n554 5.7.1 really"}, all("! %s@example.com 554 5.7.1 mx1.example.com verified"), 1},
		{"the message, no word: it may have arrived, and is not sent twice now", map[string]string{".": ""},
			all("~ %s@example.com 451 4.4.2 mx1.example.com verified"), 1},
		{"the message, a word without meaning: as well", map[string]string{".": "354 more"},
			all("~ %s@example.com 451 4.4.2 mx1.example.com verified"), 1},
		{"taken, and a rude end", map[string]string{"QUIT": ""}, all("%s@example.com 250 2.0.0 mx1.example.com verified"), 1},
	}
	for _, tt := range tests {
		for _, offers := range [][]string{nil, {"PIPELINING"}} {
			t.Run(tt.name+fmt.Sprint(offers), func(t *testing.T) {
				w := newWorld(t, none)
				w.publish("example.com", mx(10, "mx1.example.com"), mx(20, "mx2.example.com"))
				s1, s2 := w.host("mx1.example.com", "8.8.4.1"), w.host("mx2.example.com", "8.8.4.2")
				s1.says, s1.offers = tt.says, offers
				got := w.SendMail(t.Context(), letter("b@example.com", "c@example.com"), hello)
				if !slices.Equal(showAll(got), tt.want) {
					t.Errorf("receipts %q, want %q", showAll(got), tt.want)
				}
				if n := len(s1.got()); n != tt.first {
					t.Errorf("the first host took %d messages", n)
				}
				sent := slices.ContainsFunc(tt.want, func(s string) bool { return strings.Contains(s, "mx2") })
				if n := len(s2.got()); (n == 1) != sent {
					t.Errorf("the second host took %d messages", n)
				}
				for _, r := range got {
					if r.Err != nil {
						asError(t, r.Err)
					}
				}
			})
		}
	}
}

// Of several hosts that failed, the mail is returned only if all say so, and the
// failure told is the one to act on.
func TestFailuresOfSeveralHosts(t *testing.T) {
	lacks := func(w *world) { w.host("mx.example.com", "8.8.4.1") } // SMTPUTF8: permanent
	down := func(*world) {}
	refusedByPolicy := func(w *world) {
		w.serve("mx.example.com", &server{cert: issue("mx.example.com", expired)}, "8.8.4.1")
	}
	for _, tt := range []struct {
		name          string
		first, second func(w *world)
		result        mtasts.Result
		want          string
	}{
		{"all say never", lacks, nil, none, "! ü@example.com 553 5.6.7 mx.example.com verified"},
		{"one is down", lacks, down, none, "~ ü@example.com 451 4.4.1 b.mail.test"},
		{"a policy's refusal tells more than a broken connection", // SMTP-08
			refusedByPolicy, down, enforcing(), "~ ü@example.com 451 4.7.5 mx.example.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.result)
			w.publish("example.com", mx(10, "mx.example.com"))
			tt.first(w)
			if tt.second != nil {
				w.publish("example.com", mx(10, "mx.example.com"), mx(5, "b.mail.test"))
				w.serve("b.mail.test", nil, "8.8.4.2")
				delete(w.hosts, "8.8.4.2:25")
			}
			if got := w.SendMail(t.Context(), letter("ü@example.com"), hello); show(got[0]) != tt.want {
				t.Errorf("receipt %q: %v", show(got[0]), got[0].Err)
			}
		})
	}
}

// What the message needs is asked for where it is offered, and its lack is
// permanent and sends nothing.
func TestParameters(t *testing.T) {
	eight, utf8 := []byte("a: b\n\nü\n"), []byte("a: ü\n\nb\n")
	for _, tt := range []struct {
		name     string
		from, to string
		msg      []byte
		offers   []string
		mail     string // "": refused
		want     string
	}{
		{"SIZE counts CRLF and no stuffed dots", "a@sender.test", "b", hello, []string{"SIZE 24"}, "MAIL FROM:<a@sender.test> SIZE=24", ""},
		{"SIZE without a limit", "a@sender.test", "b", hello, []string{"SIZE"}, "MAIL FROM:<a@sender.test> SIZE=24", ""},
		{"SIZE 0 is no limit", "a@sender.test", "b", hello, []string{"size 0"}, "MAIL FROM:<a@sender.test> SIZE=24", ""},
		{"too big", "a@sender.test", "b", hello, []string{"SIZE 23"}, "", "! b@example.com 552 5.3.4 example.com verified"},
		{"8-bit content", "a@sender.test", "b", eight, []string{"8BITMIME"}, "MAIL FROM:<a@sender.test> BODY=8BITMIME", ""},
		{"8-bit content, not offered", "a@sender.test", "b", eight, nil, "", "! b@example.com 554 5.6.3 example.com verified"},
		{"7-bit content needs nothing", "a@sender.test", "b", hello, []string{"8BITMIME", "SMTPUTF8"}, "MAIL FROM:<a@sender.test>", ""},
		{"a header in UTF-8", "a@sender.test", "b", utf8, []string{"8bitmime", "smtputf8"}, "MAIL FROM:<a@sender.test> BODY=8BITMIME SMTPUTF8", ""},
		{"a header in UTF-8, not offered", "a@sender.test", "b", utf8, []string{"8BITMIME"}, "MAIL FROM:<a@sender.test> BODY=8BITMIME", ""},
		{"a recipient beyond ASCII", "a@sender.test", "ü", hello, []string{"SMTPUTF8"}, "MAIL FROM:<a@sender.test> SMTPUTF8", ""},
		{"a recipient beyond ASCII, not offered", "a@sender.test", "ü", hello, nil, "", "! ü@example.com 553 5.6.7 example.com verified"},
		{"a sender beyond ASCII", "ü@sender.test", "b", hello, []string{"SMTPUTF8"}, "MAIL FROM:<ü@sender.test> SMTPUTF8", ""},
		{"a sender's domain beyond ASCII is written in A-labels", "a@bücher.example", "b", hello, nil, "MAIL FROM:<a@xn--bcher-kva.example>", ""},
		{"the null sender", "", "b", hello, nil, "MAIL FROM:<>", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, none)
			s := w.host("example.com", "8.8.4.1")
			s.offers = tt.offers
			got := w.SendMail(t.Context(), Envelope{From: tt.from, To: []string{tt.to + "@example.com"}}, tt.msg)
			mails := strings.Join(s.heard("MAIL"), "; ")
			if mails != tt.mail || (tt.mail == "") != (got[0].Err != nil) || got[0].Err != nil && show(got[0]) != tt.want {
				t.Errorf("heard %q, receipt %q: %v", mails, show(got[0]), got[0].Err)
			}
		})
	}
}

func TestRequireTLS(t *testing.T) {
	capable := &server{name: "b.mail.test", offers: []string{"REQUIRETLS"}}
	for _, tt := range []struct {
		name   string
		from   string
		result mtasts.Result
		first  *server
		second *server
		want   string
		mail   string
	}{
		{"offered inside TLS by a host that is named and proved", // RTLS-01
			"a@sender.test", enforcing(), &server{offers: []string{"REQUIRETLS"}, cert: issue("mx.example.com", good)}, nil,
			"b@example.com 250 2.0.0 mx.example.com verified", "MAIL FROM:<a@sender.test> REQUIRETLS"},
		{"offered before TLS alone", // RTLS-04, RTLS-06, RTLS-07
			"a@sender.test", enforcing(), &server{says: map[string]string{}, cert: issue("mx.example.com", good)}, nil,
			"! b@example.com 550 5.7.30 mx.example.com verified", ""},
		{"the next host offers it", // RTLS-05
			"a@sender.test", enforcing(), &server{cert: issue("mx.example.com", good)}, capable,
			"b@example.com 250 2.0.0 b.mail.test verified", ""},
		{"a bounce goes on without it", // RTLS-10
			"", enforcing(), &server{cert: issue("mx.example.com", good)}, nil,
			"b@example.com 250 2.0.0 mx.example.com verified", "MAIL FROM:<>"},
		{"a bounce says it where it is offered",
			"", enforcing(), &server{offers: []string{"REQUIRETLS"}, cert: issue("mx.example.com", good)}, nil,
			"b@example.com 250 2.0.0 mx.example.com verified", "MAIL FROM:<> REQUIRETLS"},
		{"no host offers STARTTLS: in clear, that is nobody's word", // RTLS-08, AMB-30
			"a@sender.test", enforcing(), &server{}, nil,
			"~ b@example.com 451 4.7.10 mx.example.com", ""},
		{"no policy names the host", // RTLS-02
			"a@sender.test", none, &server{offers: []string{"REQUIRETLS"}, cert: issue("mx.example.com", good)}, nil,
			"~ b@example.com 451 4.7.5 mx.example.com", ""},
		{"a policy in testing mode is no excuse", // RTLS-20
			"a@sender.test", testingMX(), &server{offers: []string{"REQUIRETLS"}, cert: issue("mx.example.com", expired)}, nil,
			"~ b@example.com 451 4.7.5 mx.example.com", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.result)
			w.publish("example.com", mx(10, "mx.example.com"))
			w.serve("mx.example.com", tt.first, "8.8.4.1")
			if tt.second != nil {
				tt.second.cert = issue("b.mail.test", good)
				w.publish("example.com", mx(10, "mx.example.com"), mx(20, "b.mail.test"))
				w.serve("b.mail.test", tt.second, "8.8.4.2")
			}
			got := w.SendMail(t.Context(), Envelope{From: tt.from, To: []string{"b@example.com"}, RequireTLS: true}, hello)
			if mail := strings.Join(tt.first.heard("MAIL"), "; "); show(got[0]) != tt.want || mail != tt.mail {
				t.Errorf("receipt %q, heard %q: %v", show(got[0]), mail, got[0].Err)
			}
		})
	}
}

// The other marks of an Envelope reach the Plan.
func TestEnvelopeMarks(t *testing.T) {
	for _, env := range []Envelope{{TLSRequiredNo: true}, {Report: true}} { // RTLS-13, RPT-107
		w := newWorld(t, enforcing())
		w.publish("example.com", mx(10, "mx.example.com"))
		w.serve("mx.example.com", &server{cert: issue("mx.example.com", expired)}, "8.8.4.1")
		env.To = []string{"b@example.com"}
		if got := w.SendMail(t.Context(), env, hello); got[0].Err != nil || got[0].Level != Encrypted {
			t.Errorf("%+v: receipt %q", env, show(got[0]))
		}
		if n := len(w.events.list()); env.Report != (n == 0) { // R15
			t.Errorf("%+v: told %d", env, n)
		}
	}
}

// I11, R12: where the domain asks for proof, and a mark lets mail go without,
// nobody can use that to have it returned.
func TestUnprovedRefusalIsTemporary(t *testing.T) {
	for _, verb := range []string{"EHLO", "MAIL", "RCPT", "DATA", "."} {
		for _, result := range []mtasts.Result{enforcing(), none} {
			w := newWorld(t, result)
			w.publish("example.com", mx(10, "mx.example.com"))
			w.serve("mx.example.com", &server{says: map[string]string{verb: "550 5.1.1 no", "HELO": "550 no"}}, "8.8.4.1")
			env := letter("b@example.com")
			env.TLSRequiredNo = true
			got := w.SendMail(t.Context(), env, hello)
			if got[0].Err == nil || got[0].Temporary() != (result.Policy != nil) {
				t.Errorf("%s: receipt %q", verb, show(got[0]))
			}
		}
	}
}

// TLS-14: a server that knows HELO alone gets mail, in clear, where nothing asks
// for more.
func TestHELO(t *testing.T) {
	w := newWorld(t, none)
	s := w.serve("example.com", &server{says: map[string]string{"EHLO": "502 what?", "HELO": "250-hello\r\n250 SIZE 1"}}, "8.8.4.1")
	got := w.SendMail(t.Context(), letter("b@example.com"), hello)
	if show(got[0]) != "b@example.com 250 2.0.0 example.com clear" || len(s.heard("HELO out.sender.test")) != 1 {
		t.Errorf("receipt %q, heard %q", show(got[0]), s.heard(""))
	}
}

// SMTP injection, addresses that are none, and literals: what is refused is
// refused before anything is sent.
func TestAddressesThatAreNone(t *testing.T) {
	for _, tt := range []struct{ from, to, want string }{
		{"a@sender.test", "b@example.com>\r\nDATA", "553 5.1.3"},
		{"a@sender.test", "b\r\nRCPT TO:<c@example.com>@example.com", "553 5.1.3"},
		{"a@sender.test", "b", "553 5.1.3"},
		{"a@sender.test", "", "553 5.1.3"},
		{"a@sender.test", "b@8.8.4.1", "550 5.1.2"}, // SMTP-10
		{"a@sender.test", "b@a..b", "550 5.1.2"},
		{"a@sender.test>\r\nRCPT TO:<c@example.com", "b@example.com", "553 5.1.7"},
		{"<>", "b@example.com", "553 5.1.7"},
		{"a", "b@example.com", "553 5.1.7"},
	} {
		t.Run(tt.from+" "+tt.to, func(t *testing.T) {
			w := newWorld(t, none)
			s := w.host("example.com", "8.8.4.1")
			got := w.SendMail(t.Context(), Envelope{From: tt.from, To: []string{tt.to}}, hello)
			r := got[0]
			if fmt.Sprint(r.Code, " ", dotted(r.EnhancedCode)) != tt.want || r.Err == nil || r.Temporary() || r.Recipient != tt.to {
				t.Errorf("receipt %+v", r)
			}
			if text := r.Text + asError(t, r.Err).Error(); strings.ContainsAny(text, "\r\n") { // I18
				t.Errorf("text %q", text)
			}
			if dns, _ := w.asked(); len(dns)+len(w.dialled)+len(s.heard("")) != 0 {
				t.Errorf("asked %q, dialled %q", dns, w.dialled)
			}
		})
	}
}

func TestSendMailToALiteral(t *testing.T) {
	w := newWorld(t, none)
	s := &server{name: "literal"}
	w.hosts["8.8.4.1:25"] = s
	got := w.SendMail(t.Context(), letter("b@[8.8.4.1]"), hello)
	if show(got[0]) != "b@[8.8.4.1] 250 2.0.0 8.8.4.1 clear" || got[0].Domain != "[8.8.4.1]" || len(s.heard("RCPT TO:<b@[8.8.4.1]>")) != 1 {
		t.Errorf("receipt %q %+v", show(got[0]), got[0])
	}
}

// SMTP-04: a receipt as RFC 7505, section 4.1, asks for.
func TestSendMailToANullMX(t *testing.T) {
	w := newWorld(t, none)
	w.publish("example.com", mx(0, ""))
	if got := w.SendMail(t.Context(), letter("b@example.com"), hello); show(got[0]) != "! b@example.com 556 5.1.10" {
		t.Errorf("receipt %q", show(got[0]))
	}
}

// R16, I18: what a host says is shown as one line of printable ASCII, and bounded.
func TestTextIsCleaned(t *testing.T) {
	w := newWorld(t, none)
	long := strings.Repeat("x", 400)
	w.host("example.com", "8.8.4.1").says = map[string]string{
		"MAIL": "550-5.7.1 \x1b[31mred\x00ü\r\n550-5.7.1 " + long + "\r\n550-" + long + "\r\n550 5.7.1 end",
	}
	got := w.SendMail(t.Context(), letter("b@example.com"), hello)[0]
	if !strings.HasPrefix(got.Text, "?[31mred?") || len(got.Text) > 512 || clean(got.Text, 512) != got.Text {
		t.Errorf("text %q", got.Text)
	}
	if e := asError(t, got.Err); len(e.Error()) > 512 || clean(e.Error(), 512) != e.Error() {
		t.Errorf("error %q", e)
	}
	reply, ok := errors.AsType[*textproto.Error](got.Err)
	if !ok || reply.Code != 550 {
		t.Errorf("error %v", got.Err)
	}
}

func TestEnhancedCode(t *testing.T) {
	for in, want := range map[string]string{
		"550 5.7.1 no":                      "5.7.1 no",
		"550-5.7.1 no\n550 5.7.1 never":     "5.7.1 no never",
		"550 no":                            "5.0.0 no",
		"550":                               "5.0.0 ",
		"550 5.7.1":                         "5.7.1 ",
		"550 4.7.1 of another class":        "5.0.0 4.7.1 of another class",
		"550 5.7 too short":                 "5.0.0 5.7 too short",
		"550 5.7.1.2 too long":              "5.0.0 5.7.1.2 too long",
		"550 5.7.x no digits":               "5.0.0 5.7.x no digits",
		"550 5..1 nothing":                  "5.0.0 5..1 nothing",
		"550 5.7.1234 too many digits":      "5.0.0 5.7.1234 too many digits",
		"550 5.1.10 two":                    "5.1.10 two",
		"550 " + strings.Repeat("5.", 9999): "5.0.0 " + clean(strings.Repeat("5.", 9999), 512),
	} {
		var r reply
		for line := range strings.SplitSeq(in, "\n") {
			code, _, text, ok := parseReplyLine(line)
			if !ok {
				t.Fatalf("%q is no reply", line)
			}
			r.code, r.lines = code, append(r.lines, text)
		}
		if enh, text := r.words(); dotted(enh)+" "+text != want {
			t.Errorf("%.40q: got %s %.40q", in, dotted(enh), text)
		}
	}
}

// Many recipients go in batches where the host takes them so, and none is lost.
func TestManyRecipients(t *testing.T) {
	for _, offers := range [][]string{nil, {"PIPELINING"}} {
		w := newWorld(t, none)
		s := w.host("example.com", "8.8.4.1")
		s.offers = offers
		s.says = map[string]string{}
		var to, want []string
		for i := range 333 {
			rcpt := fmt.Sprintf("u%d@example.com", i)
			to = append(to, rcpt)
			if i%10 == 3 {
				s.says["RCPT TO:<"+rcpt+">"] = "550 5.1.1 unknown"
				want = append(want, "! "+rcpt+" 550 5.1.1 example.com verified")
			} else {
				want = append(want, rcpt+" 250 2.0.0 example.com verified")
			}
		}
		got := w.SendMail(t.Context(), letter(to...), hello)
		if !slices.Equal(showAll(got), want) || len(s.heard("RCPT")) != 333 || len(s.got()) != 1 {
			t.Errorf("receipts %q", showAll(got))
		}
	}
}

// A host that stops answering does not hold a message for ever, and the hosts
// after it get their turn while there is time (R13).
func TestSilenceInATransaction(t *testing.T) {
	for verb, want := range map[string]string{
		"MAIL": "b@example.com 250 2.0.0 mx2.example.com verified",
		"RCPT": "b@example.com 250 2.0.0 mx2.example.com verified",
		"DATA": "b@example.com 250 2.0.0 mx2.example.com verified",
		".":    "~ b@example.com 451 4.4.2 mx1.example.com verified",
		"QUIT": "b@example.com 250 2.0.0 mx1.example.com verified",
	} {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, none)
				w.publish("example.com", mx(10, "mx1.example.com"), mx(20, "mx2.example.com"))
				w.host("mx1.example.com", "8.8.4.1").says = map[string]string{verb: "silence"}
				w.host("mx2.example.com", "8.8.4.2")
				began := time.Now()
				got := w.SendMail(t.Context(), letter("b@example.com"), hello)
				if show(got[0]) != want || time.Since(began) > defaultTimeout {
					t.Errorf("receipt %q after %v", show(got[0]), time.Since(began))
				}
			})
		})
	}
}

// When ctx ends, every recipient has a receipt that says so, at once.
func TestContextEndsADelivery(t *testing.T) {
	for _, verb := range []string{"connect", "EHLO", "MAIL", "RCPT", "DATA", "."} {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, none)
				w.publish("example.com", mx(10, "mx1.example.com"), mx(20, "mx2.example.com"))
				w.host("mx1.example.com", "8.8.4.1").says = map[string]string{verb: "silence"}
				s2 := w.host("mx2.example.com", "8.8.4.2")
				w.host("other.test", "8.8.4.3")
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				got := w.SendMail(ctx, letter("b@example.com", "c@other.test"), hello)
				if !got[0].Temporary() || !errors.Is(got[0].Err, context.DeadlineExceeded) || got[1].Err != nil {
					t.Errorf("receipts %q: %v", showAll(got), got[0].Err)
				}
				if took := time.Since(began); took > 2*time.Second || len(s2.got()) != 0 {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// R20: a hook of the caller's that panics costs nobody a receipt, and the other
// domains nothing.
func TestPanickingHook(t *testing.T) {
	w := newWorld(t, none)
	w.host("other.test", "8.8.4.1")
	w.Resolver = panickyDNS{w}
	got := w.SendMail(t.Context(), letter("b@example.com", "c@other.test"), hello)
	if !got[0].Temporary() || !strings.Contains(got[0].Text, "panicked") || got[1].Err != nil {
		t.Errorf("receipts %q", showAll(got))
	}
}

type panickyDNS struct{ Resolver }

func (p panickyDNS) MX(ctx context.Context, name string) (resolver.Answer[resolver.MX], error) {
	if name == "example.com" {
		panic("oops")
	}
	return p.Resolver.MX(ctx, name)
}

// A command is never more than one line, whatever it was made of.
func TestNoLineBreakInACommand(t *testing.T) {
	var c smtpClient
	if err := c.send(time.Second, "MAIL FROM:<a\r\nDATA>"); err != errLineBreak {
		t.Errorf("error %v", err)
	}
}
