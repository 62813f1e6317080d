package outbound

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Envelope is who a message is from and for, and what it asks of the way. What
// it needs of a server beyond that (8BITMIME, SMTPUTF8) is seen from the
// addresses and the message.
type Envelope struct {
	// From is the return path, "local@domain"; "" is the null sender of bounces
	// and reports, who cannot be told of a failure.
	From string
	// To are the recipients, "local@domain".
	To []string
	// RequireTLS, TLSRequiredNo and Report are as in [Delivery].
	RequireTLS, TLSRequiredNo, Report bool
	// Via is the smart host that all of the message goes to, in one transaction,
	// under the policy of its own domain: those of the recipients' domains are
	// for it to ask (RFC 8461, section 3.4). Its Domain and Hosts count. Where no
	// way leads to it the mail waits. If nil, each recipient's domain is
	// delivered to.
	Via *Delivery
}

// delivery is the way for recipients at domain.
func (env *Envelope) delivery(domain string) Delivery {
	d := Delivery{Domain: domain, RequireTLS: env.RequireTLS, TLSRequiredNo: env.TLSRequiredNo, Report: env.Report}
	if env.Via != nil {
		d.Domain, d.Hosts = env.Via.Domain, env.Via.Hosts
	}
	return d
}

// atOnce is how many domains of one message are delivered to at the same time: a
// domain that stalls holds up its own recipients, not all.
const atOnce = 8

// SendMail delivers msg to the recipients of env, in one transaction for each
// domain or, with Via, in one for all, and returns one Receipt for each of them,
// in their order. It never sends where the policies of the domain delivered to
// forbid it. Line ends of any kind in msg become CRLF. Up to eight domains are
// delivered to at a time, so an Observer hears of them in any order.
//
// It does not queue and tries each host once (see [Dialer.Conns] for which, and
// when twice): a Receipt that is Temporary is to be tried again later, with the
// recipient it names. One whose host broke off after the whole message was sent
// is Temporary as well, though the host may have taken it: it will then arrive
// twice rather than never (RFC 1047).
func (d *Dialer) SendMail(ctx context.Context, env Envelope, msg []byte) []Receipt {
	receipts := make([]Receipt, len(env.To))
	from, fromErr := parseSender(env.From)
	var jobs []*job
	byDomain := make(map[string]*job) // by where they go
	for i, to := range env.To {
		receipts[i].Recipient = to
		rcpt := &recipient{receipt: &receipts[i]}
		var s status
		var err error
		if rcpt.address, s, err = parseRecipient(to); err != nil {
			rcpt.settle(deny(to, s, err).Receipt())
			continue
		}
		domain := rcpt.address.domain
		receipts[i].Domain = domain
		if fromErr != nil {
			rcpt.settle(deny(domain, badSender, fromErr).Receipt())
			continue
		}
		dl := env.delivery(domain)
		j := byDomain[dl.Domain]
		if j == nil {
			j = &job{delivery: dl, relayed: env.Via != nil}
			byDomain[dl.Domain] = j
			jobs = append(jobs, j)
		}
		j.pending = append(j.pending, rcpt)
	}
	m := &outgoing{message: newMessage(msg), from: from}
	if m.nul {
		for _, j := range jobs {
			j.settle(deny(j.delivery.Domain, badContent, errNUL).Receipt())
		}
		return receipts
	}
	d.deliverAll(ctx, jobs, m)
	return receipts
}

// recipient is one of env.To, and its Receipt as long as there is none.
type recipient struct {
	address mailbox
	receipt *Receipt
}

// settle is the last word.
func (r *recipient) settle(v Receipt) {
	v.Recipient, v.Domain = r.receipt.Recipient, r.receipt.Domain
	*r.receipt = v
}

// job is the recipients of one delivery that have no Receipt yet.
type job struct {
	delivery Delivery
	relayed  bool // by a smart host
	pending  []*recipient
}

// split returns those whose addresses are in ASCII, and the others.
func (j *job) split() (ascii, utf8 []*recipient) {
	for _, r := range j.pending {
		if r.address.utf8() {
			utf8 = append(utf8, r)
		} else {
			ascii = append(ascii, r)
		}
	}
	return ascii, utf8
}

func (j *job) settle(v Receipt) {
	for _, r := range j.pending {
		r.settle(v)
	}
	j.pending = nil
}

// outgoing is the message as it goes to one domain.
type outgoing struct {
	message
	from mailbox
}

func (d *Dialer) deliverAll(ctx context.Context, jobs []*job, m *outgoing) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, j := range jobs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			defer func() { // R20: a panic in a hook of the caller's costs nobody a Receipt
				if p := recover(); p != nil {
					err := because{"a hook panicked", fmt.Errorf("%v", p)}
					j.settle(deny(j.delivery.Domain, later, err).Receipt())
				}
			}()
			d.deliver(ctx, j, m)
		})
	}
	wg.Wait()
}

// deliver walks the hosts of a domain until each recipient has a Receipt.
func (d *Dialer) deliver(ctx context.Context, j *job, m *outgoing) {
	var errs []error
	for conn, err := range d.Conns(ctx, j.delivery) {
		if err == nil {
			err = handOver(ctx, conn, j, m).Err
		}
		if len(j.pending) == 0 {
			return
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 { // Conns promises an error, and a Receipt is too dear to rely on it
		errs = append(errs, deny(j.delivery.Domain, later, errUntried))
	}
	v := Verdict(errs)
	switch (status{v.Code, v.EnhancedCode}) {
	case noSystem, noMail, noRoute, loop:
		if j.relayed { // the operator's to mend, and no recipient's fault
			v = v.soft()
		}
	}
	j.settle(v.Receipt())
}

var errUntried = own("no host was tried")

// handOver offers the message to one host. Recipients of whom the host said
// something that counts have a Receipt then. For those left, the Receipt it
// returns says why the next host is to be asked.
func handOver(ctx context.Context, conn *Conn, j *job, m *outgoing) Receipt {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // ends any read or write
	defer stop()
	c := newSMTPClient(ctx, conn)
	command, r, err := c.hello(conn.LocalName())
	switch {
	case err != nil:
		return c.lost(broken, err)
	case r.code/100 != 2:
		return c.verdict(command, r)
	}
	defer c.quit()
	ascii, utf8 := j.split()
	if len(utf8) > 0 && len(ascii) > 0 && !m.from.utf8() && !c.ehlo.offers("smtputf8") {
		// Who has such an address does not take the others with him.
		no := c.lost(noUTF8, errNoUTF8)
		for _, r := range utf8 {
			r.settle(no)
		}
		j.pending, utf8 = ascii, nil
	}
	line, lacking, err := c.mail(m, len(utf8) > 0 || m.from.utf8(), j.delivery.RequireTLS)
	if err != nil {
		return c.lost(lacking, err)
	}
	if r, err = c.command(replyTimeout, line); err != nil {
		return c.lost(broken, err)
	}
	if v := c.verdict("MAIL", r); v.Err != nil {
		return j.answered(v)
	}
	if v := c.recipients(j); v.Err != nil || len(j.pending) == 0 {
		return v
	}
	return c.data(j, m)
}

// answered takes a host's "no" to the message as a whole: for good, or until the
// next host was asked.
func (j *job) answered(v Receipt) Receipt {
	if !v.Temporary() {
		j.settle(v)
	}
	return v
}

// recipients settles those whom the host does not take, and leaves the others.
// An error in the Receipt says that the host is out of it for all who are left.
func (c *smtpClient) recipients(j *job) Receipt {
	replies, err := c.rcpt(j.pending)
	var left []*recipient
	var gone Receipt
	for i, rcpt := range j.pending {
		if i >= len(replies) {
			left = append(left, rcpt)
			continue
		}
		switch v := c.verdict("RCPT", replies[i]); {
		case v.Err == nil:
			left = append(left, rcpt)
		case replies[i].code == codeClosing:
			left, gone = append(left, rcpt), v
		default:
			rcpt.settle(tooMany(v, replies[i]))
		}
	}
	j.pending = left
	if err != nil {
		return c.lost(broken, err)
	}
	return gone
}

// tooMany makes the 552 of old servers temporary that means "too many recipients"
// (RFC 5321, section 4.5.3.1.10). One that says it means another thing is left.
func tooMany(v Receipt, r reply) Receipt {
	if r.code != 552 || v.EnhancedCode[1] != 0 && v.EnhancedCode != [3]int{5, 5, 3} {
		return v
	}
	e, _ := errors.AsType[*Error](v.Err)
	soft := *e
	soft.Code, soft.EnhancedCode = 452, [3]int{4, 5, 3}
	return soft.Receipt()
}

// data sends the message to those whom the host took.
func (c *smtpClient) data(j *job, m *outgoing) Receipt {
	r, err := c.command(dataTimeout, "DATA")
	switch {
	case err != nil:
		return c.lost(broken, err)
	case r.code != 354:
		if r.code/100 < 4 {
			return c.lost(broken, r.refusal("DATA"))
		}
		return j.answered(c.verdict("DATA", r))
	}
	r, sent, err := c.content(m)
	switch {
	case err == nil:
		j.settle(c.verdict("the message", r))
	case sent: // it may have the message: no other host is asked now
		j.settle(c.lost(broken, because{"the message was sent, and no answer came", err}))
	default:
		return c.lost(broken, err)
	}
	return Receipt{}
}

// badContent is for a message that SMTP does not carry (RFC 3463, section 3.7).
var (
	badContent = status{554, [3]int{5, 6, 0}}
	errNUL     = own("the message holds a NUL, which SMTP does not carry")
)
