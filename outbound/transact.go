package outbound

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// How long a server may take for a step (RFC 5321, section 4.5.3.2). The Dialer's
// Timeout cuts all of them short.
const (
	dataTimeout  = 2 * time.Minute
	blockTimeout = 24 * time.Hour   // of the message itself: Timeout alone decides
	finalTimeout = 10 * time.Minute // impatience here sends a message twice
	quitTimeout  = 5 * time.Second  // nothing depends on the answer
)

// pipelined is how many commands are under way at once where the server offers
// PIPELINING (RFC 2920): so few that their replies fit into any window.
const pipelined = 50

// smtpClient is the part of SMTP that hands over one message. net/smtp would be
// the obvious choice, but it chooses the parameters of MAIL by itself, and
// keeps the final reply, which has the queue id, to itself.
type smtpClient struct {
	ctx  context.Context
	conn *Conn
	r    *bufio.Reader
	ehlo reply // its lines are the extensions
}

func newSMTPClient(ctx context.Context, conn *Conn) *smtpClient {
	return &smtpClient{ctx: ctx, conn: conn, r: bufio.NewReaderSize(conn, maxReplyLine)}
}

// fail is the error of a session that ended here.
func (c *smtpClient) fail(s status, err error) *Error {
	e := c.conn.Session.plan.fail(c.conn.Session.host, s, err)
	e.level = c.conn.Session.Level()
	return e
}

// verdict is the Receipt for what the server said.
func (c *smtpClient) verdict(command string, r reply) Receipt {
	plan, level := c.conn.Session.plan, c.conn.Session.Level()
	enhanced, text := r.words()
	if r.code/100 == 2 {
		return Receipt{Host: c.conn.Session.host, Level: level, Code: r.code, EnhancedCode: enhanced, Text: text}.of(plan)
	}
	// A "no" from a host that has not proved itself is not believed for good
	// while the domain asks for proof (R12).
	e := c.fail(r.status(c.doubted()), r.refusal(command))
	e.text = text
	return e.Receipt()
}

// doubted reports whether a "no" could be somebody else's: an enforce policy is
// held, and the host is not one it names or has not proved itself.
func (c *smtpClient) doubted() bool {
	s := c.conn.Session
	return s.plan.holdsEnforce() && (s.Level() != Verified || !s.named)
}

// lost is the Receipt for a connection that broke, or a refusal of our own.
func (c *smtpClient) lost(s status, err error) Receipt {
	if ended := ended(c.ctx); s == broken && ended != nil { // which is why
		err = ended
	}
	if s.code >= 500 && c.doubted() {
		s = later
	}
	return c.fail(s, err).Receipt()
}

// ended is the error of ctx, also where its deadline is the connection's and that
// was noticed first.
func ended(ctx context.Context) error {
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// command sends one command and reads the reply.
func (c *smtpClient) command(limit time.Duration, line string) (reply, error) {
	if err := c.send(limit, line); err != nil {
		return reply{}, err
	}
	return readReply(c.r)
}

// send sends commands, which are made of parsed parts and so free of CR and LF.
// The check is for the day when a parser here is wrong.
func (c *smtpClient) send(limit time.Duration, lines ...string) error {
	for _, l := range lines {
		if strings.ContainsAny(l, "\r\n") {
			return errLineBreak
		}
	}
	c.conn.SetDeadline(time.Now().Add(limit))
	_, err := c.conn.Write([]byte(strings.Join(lines, "\r\n") + "\r\n"))
	return err
}

var errLineBreak = own("a line break inside a command")

// hello reads the greeting and says EHLO; HELO to a server that knows nothing
// else (RFC 5321, section 3.2).
func (c *smtpClient) hello(name string) (string, reply, error) {
	c.conn.SetDeadline(time.Now().Add(greetingTimeout))
	r, err := readReply(c.r)
	if err != nil || r.code != codeReady {
		return "connecting", r, err
	}
	r, err = c.command(replyTimeout, "EHLO "+name)
	if err == nil && r.code/100 == 5 {
		r, err = c.command(replyTimeout, "HELO "+name)
		r.lines = r.lines[:min(len(r.lines), 1)] // it offers nothing
	}
	c.ehlo = r
	return "EHLO", r, err
}

// argument returns what stands behind a keyword of the EHLO reply, which is
// given in lower case, and whether the keyword is there.
func (r reply) argument(keyword string) (string, bool) {
	for _, line := range r.lines[1:] {
		if word, args, _ := strings.Cut(line, " "); equalASCII(word, keyword) {
			return args, true
		}
	}
	return "", false
}

// What a server lacks, and where that is permanent: its EHLO reply stands for
// what it can do.
var (
	tooBig  = status{552, [3]int{5, 3, 4}}  // RFC 1870, section 6.1
	noEight = status{554, [3]int{5, 6, 3}}  // RFC 6152, section 3
	noUTF8  = status{553, [3]int{5, 6, 7}}  // RFC 6531, section 3.5
	noRTLS  = status{550, [3]int{5, 7, 30}} // RFC 8689, section 4.2.1

	errNoEight = own("the message has 8-bit content and the server does not offer 8BITMIME: encode it")
	errNoUTF8  = own("an address or the header is internationalized and the server does not offer SMTPUTF8: use ASCII")
	errNoRTLS  = own("the message demands REQUIRETLS and the server does not offer it")
)

// mail writes the MAIL command, with the parameters that the message needs and
// the server offers; utf8 says that an address is in UTF-8. What is needed and not
// offered is an error.
func (c *smtpClient) mail(m *outgoing, utf8, requireTLS bool) (string, status, error) {
	cmd := "MAIL FROM:<" + m.from.String() + ">"
	if size, ok := c.ehlo.argument("size"); ok {
		limit, _ := strconv.Atoi(size) // 0 and no number: no limit known (RFC 1870, section 4)
		if limit > 0 && m.size > limit {
			return "", tooBig, own(fmt.Sprintf("the message has %d octets and the server takes %d", m.size, limit))
		}
		cmd += " SIZE=" + strconv.Itoa(m.size)
	}
	if m.eightBit {
		if !c.ehlo.offers("8bitmime") {
			return "", noEight, errNoEight
		}
		cmd += " BODY=8BITMIME"
	}
	switch offered := c.ehlo.offers("smtputf8"); {
	case offered && (m.utf8 || utf8):
		cmd += " SMTPUTF8"
	case utf8: // an address needs it; a header alone goes as 8BITMIME, as it came
		return "", noUTF8, errNoUTF8
	}
	switch {
	case !requireTLS:
	case c.ehlo.offers("requiretls"): // said inside TLS, or there would be no Conn
		cmd += " REQUIRETLS"
	case !m.from.isNull(): // a bounce goes on without it (RFC 8689, section 5)
		return "", noRTLS, errNoRTLS
	}
	return cmd, status{}, nil
}

// rcpt names the recipients and returns the replies to the first of them; to all,
// if there is no error and no 421, with which a server hangs up.
func (c *smtpClient) rcpt(to []*recipient) ([]reply, error) {
	batch := 1
	if c.ehlo.offers("pipelining") {
		batch = pipelined
	}
	var replies []reply
	for len(to) > 0 {
		lines := make([]string, min(batch, len(to)))
		for i := range lines {
			lines[i] = "RCPT TO:<" + to[i].address.String() + ">"
		}
		if err := c.send(replyTimeout, lines...); err != nil {
			return replies, err
		}
		for range lines {
			r, err := readReply(c.r)
			if err != nil {
				return replies, err
			}
			replies = append(replies, r)
			if r.code == codeClosing {
				return replies, nil
			}
		}
		to = to[len(lines):]
	}
	return replies, nil
}

// content sends the message after a 354, and reads the last reply. While sent is
// false the server cannot have taken the message; after that, an error leaves
// open whether it has.
func (c *smtpClient) content(m *outgoing) (r reply, sent bool, err error) {
	c.conn.SetDeadline(time.Now().Add(blockTimeout))
	if _, err := c.conn.Write(m.wire); err != nil {
		return reply{}, false, err
	}
	c.conn.SetDeadline(time.Now().Add(finalTimeout))
	r, err = readReply(c.r)
	return r, true, err
}

// quit is polite, and no more.
func (c *smtpClient) quit() {
	c.command(quitTimeout, "QUIT")
}
