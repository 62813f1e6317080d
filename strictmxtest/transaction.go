package strictmxtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
)

func (s *session) mail(arg string) error {
	from, params, ok := path(arg, "FROM:")
	switch {
	case s.setup.fault.kind() == refuseMAIL:
		return s.refuse()
	case s.helo == "":
		return s.reply(503, "5.5.1 say EHLO first")
	case s.from != nil:
		return s.reply(503, "5.5.1 one sender at a time")
	case !ok:
		return s.reply(501, "5.5.4 MAIL FROM:<address>")
	}
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		name = strings.ToUpper(name)
		var size int
		switch {
		case name == "BODY" && s.offers("8BITMIME"), name == "SMTPUTF8" && s.offers(name), name == "REQUIRETLS" && value == "" && s.offers(name):
		case name == "SIZE" && s.offers(name):
			if fmt.Sscan(value, &size); size > maxMessage {
				return s.reply(552, "5.3.4 too large")
			}
		default:
			return s.reply(555, "5.5.4 unknown parameter %q", p)
		}
	}
	s.from, s.params = &from, params
	return s.reply(250, "2.1.0 sender taken")
}

func (s *session) rcpt(arg string) error {
	to, params, ok := path(arg, "TO:")
	switch {
	case s.setup.fault.kind() == refuseRCPT:
		return s.refuse()
	case s.from == nil:
		return s.reply(503, "5.5.1 MAIL first")
	case !ok || to == "":
		return s.reply(501, "5.5.4 RCPT TO:<address>")
	case len(params) > 0:
		return s.reply(555, "5.5.4 unknown parameter %q", params[0])
	}
	if code := s.setup.refused[strings.ToLower(to)]; code != 0 {
		return s.reply(code, "%d.1.1 refused by order of the test", code/100)
	}
	s.to = append(s.to, to)
	return s.reply(250, "2.1.5 recipient taken")
}

// path reads "FROM:<address> PARAM PARAM=value".
func path(arg, keyword string) (addr string, params []string, ok bool) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return "", nil, false
	}
	arg = strings.TrimLeft(arg[len(keyword):], " ") // many clients send a blank that must not be there
	if !strings.HasPrefix(arg, "<") {
		return "", nil, false
	}
	addr, rest, ok := strings.Cut(arg[1:], ">")
	return addr, strings.Fields(rest), ok
}

func (s *session) data() error {
	switch {
	case s.setup.fault.kind() == refuseDATA:
		return s.refuse()
	case s.from == nil || len(s.to) == 0:
		return s.reply(503, "5.5.1 MAIL and RCPT first")
	}
	if err := s.reply(354, "go ahead, end with a dot"); err != nil {
		return err
	}
	text, fits, err := s.readMessage()
	if err != nil {
		return err
	}
	s.log("C: (message of %d octets) .", len(text))
	s.note(func(r *Session) { r.Commands = append(r.Commands, ".") })
	msg := Message{
		Host: s.mx.name, HELO: s.helo, From: *s.from, FromParams: s.params, To: s.to,
		Data: text, Time: time.Now(), TLS: s.rec.TLS, // only we change TLS, before we read it
	}
	s.rset()
	switch {
	case s.setup.fault.kind() == refuseMessage:
		return s.refuse()
	case !fits:
		return s.reply(552, "5.3.4 too large")
	}
	s.mx.mu.Lock()
	s.mx.messages = append(s.mx.messages, msg)
	s.mx.mu.Unlock()
	return s.reply(250, "2.0.0 taken")
}

// readMessage reads up to the dot; what exceeds the size is read and dropped.
func (s *session) readMessage() (text string, fits bool, err error) {
	var b strings.Builder
	start := true // of a line
	for fits = true; ; {
		part, err := s.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return "", false, err
		}
		if s.setup.fault == CloseInDATA {
			return "", false, errEnd
		}
		if start {
			if string(part) == ".\r\n" {
				return b.String(), fits, nil
			}
			part = bytes.TrimPrefix(part, []byte(".")) // RFC 5321, section 4.5.2
		}
		start = err == nil
		if fits = fits && b.Len()+len(part) <= maxMessage; fits {
			b.Write(part)
		}
	}
}
