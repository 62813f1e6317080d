package strictmxtest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// policyLimit is the size to which RFC 8461, section 3.3, lets senders cut off.
	policyLimit = 64 << 10
	// slowly is the pause before each byte of what comes slowly.
	slowly = 100 * time.Millisecond
	// endless is what anything without an end sends at most: nobody reads as much
	// who has a limit, and nobody's disk is filled who has none.
	endless = 64 << 20
)

// PolicyFault is something wrong with how a domain's policy is served; see
// [Domain.Fault]. What is wrong with the certificate is a [Certificate].
type PolicyFault uint32

// What a policy host can do wrong. Where a body is sent, it is or begins with the
// valid policy, so that a careless client would take it.
const (
	_ PolicyFault = iota
	_
	// Unreachable refuses the connection.
	Unreachable
	// NotTLS answers in plain HTTP.
	NotTLS
	// HangInHandshake reads the ClientHello and is silent.
	HangInHandshake
	// CloseInHandshake reads the ClientHello and hangs up.
	CloseInHandshake
	// HangBeforeHeader reads the request and is silent.
	HangBeforeHeader
	// CloseBeforeHeader reads the request and hangs up.
	CloseBeforeHeader
	// GarbageReply answers something that is no HTTP.
	GarbageReply
	// SlowHeader sends ten bytes of the header a second.
	SlowHeader
	// HugeHeader sends a header of a megabyte.
	HugeHeader
	// HTMLType says text/html.
	HTMLType
	// NoType says no Content-Type.
	NoType
	// OddType says the right one strangely: in upper case, with two charsets. It
	// is no reason to refuse the policy.
	OddType
	// SlowBody sends ten bytes of the body a second.
	SlowBody
	// FullSize pads the policy to exactly 64 KiB, the limit of RFC 8461, section
	// 3.3. It is no reason to refuse it.
	FullSize
	// Oversize pads it to one byte more.
	Oversize
	// EndlessBody goes on and on.
	EndlessBody
	// ResetInBody resets the connection halfway.
	ResetInBody
	// ShortBody closes it properly before Content-Length is reached.
	ShortBody
	// CutBody sends no Content-Length and half the policy, and cuts the connection
	// without the close_notify of TLS, as an attacker can. Clients in Go do not
	// notice: crypto/tls takes a cut between two records for the end of the stream.
	CutBody
	// Gzipped sends the policy with Content-Encoding gzip, which nobody asked for.
	Gzipped
	// GzipBomb sends a few kilobytes that unpack to a megabyte.
	GzipBomb

	status
	redirect
)

// Status answers with another status than 200, and the valid policy.
func Status(code int) PolicyFault { return status | PolicyFault(argument(code)) }

// Redirect answers with a redirection to a place on the same host that serves
// the policy with status 200; see [Domain.Redirected].
func Redirect(code int) PolicyFault { return redirect | PolicyFault(argument(code)) }

// PolicyFaults returns every fault a policy host knows, for tests that walk them
// all; where a fault takes a number, with those that matter. [OddType] and
// [FullSize] are there though a right client gets along with them.
func PolicyFaults() []PolicyFault {
	all := []PolicyFault{TLS11Only}
	for f := Unreachable; f < status; f++ {
		all = append(all, f)
	}
	for _, code := range []int{201, 202, 203, 204, 206, 304, 400, 401, 403, 404, 410, 429, 500, 502, 503} {
		all = append(all, Status(code))
	}
	for _, code := range []int{301, 302, 303, 307, 308} {
		all = append(all, Redirect(code))
	}
	return all
}

func (f PolicyFault) kind() PolicyFault { return f & (1<<argShift - 1) }
func (f PolicyFault) arg() int          { return int(f >> argShift) }

// String is the fault's name.
func (f PolicyFault) String() string {
	names := [...]string{
		None: "none", TLS11Only: "TLS 1.1 only", Unreachable: "unreachable", NotTLS: "no TLS",
		HangInHandshake: "hang in handshake", CloseInHandshake: "close in handshake",
		HangBeforeHeader: "hang before header", CloseBeforeHeader: "close before header",
		GarbageReply: "garbage reply", SlowHeader: "slow header", HugeHeader: "huge header",
		HTMLType: "Content-Type text/html", NoType: "no Content-Type", OddType: "odd Content-Type",
		SlowBody: "slow body", FullSize: "64 KiB exactly", Oversize: "64 KiB and one byte", EndlessBody: "endless body",
		ResetInBody: "reset in body", ShortBody: "short body", CutBody: "cut body without length",
		Gzipped: "gzip", GzipBomb: "gzip bomb",
	}
	switch {
	case f.kind() == status:
		return fmt.Sprintf("status %d", f.arg())
	case f.kind() == redirect:
		return fmt.Sprintf("redirect %d", f.arg())
	case int(f) < len(names):
		return names[f]
	}
	return fmt.Sprintf("PolicyFault(%d)", uint32(f))
}

// respond answers a request for the policy, as well as the fault allows.
func (v *visit) respond() {
	r, text := v.valid(), v.site.text
	switch f := v.site.fault; f.kind() {
	case HangBeforeHeader:
		io.Copy(io.Discard, v.tls)
	case CloseBeforeHeader:
		v.tls.Close()
	case GarbageReply:
		io.WriteString(v.tls, "220 mail.example.com ESMTP\r\n"+text)
		v.tls.Close()
	case SlowHeader:
		v.dribble(v.head(r, text))
		io.WriteString(v.tls, text)
		v.tls.Close()
	case SlowBody:
		io.WriteString(v.tls, v.head(r, text))
		v.dribble(text)
		v.tls.Close()
	case status:
		v.sendStatus(f.arg(), text)
	case redirect:
		r.status = f.arg()
		r.header = append(r.header, "Location: https://mta-sts."+v.domain.name+redirectedPath)
		v.send(r, text)
	case EndlessBody, ResetInBody, ShortBody, CutBody:
		v.breakOff(f, r, text)
	default:
		v.send(v.dress(f, r, text))
	}
}

// dress returns a whole reply in which the fault is in what is sent, not in how.
func (v *visit) dress(f PolicyFault, r reply, text string) (reply, string) {
	switch f {
	case HugeHeader:
		r.header = append(r.header, "X-Padding: "+strings.Repeat("x", 1<<20))
	case HTMLType:
		r.header = []string{"Content-Type: text/html"}
	case NoType:
		r.header = nil
	case OddType:
		r.header = []string{"Content-Type: TEXT/Plain ; charset=utf-8; charset=x; format=flowed"}
	case FullSize:
		text = padded(text, policyLimit)
	case Oversize:
		text = padded(text, policyLimit+1)
	case Gzipped:
		r.header = append(r.header, "Content-Encoding: gzip")
		text = zipped(text)
	case GzipBomb:
		r.header = append(r.header, "Content-Encoding: gzip")
		text = zipped(padded(text, 1<<20))
	}
	return r, text
}

func (v *visit) sendStatus(code int, text string) {
	r := v.valid()
	r.status = code
	switch code {
	case http.StatusNoContent, http.StatusNotModified: // have no body (RFC 9110, section 6.4.1)
		r.length, text = -1, ""
	case http.StatusPartialContent:
		r.header = append(r.header, fmt.Sprintf("Content-Range: bytes 0-%d/%d", len(text)-1, len(text)))
	}
	v.send(r, text)
}

// breakOff sends a body that does not end as it should.
func (v *visit) breakOff(f PolicyFault, r reply, text string) {
	switch f {
	case EndlessBody:
		r.length = -1
		io.WriteString(v.tls, v.head(r, text)+text)
		for n := 0; n < endless; n += policyLimit {
			if _, err := io.WriteString(v.tls, padded("", policyLimit)); err != nil {
				return
			}
		}
	case ResetInBody:
		r.length = 2 * policyLimit
		io.WriteString(v.tls, v.head(r, text)+padded(text, policyLimit))
		reset(v.conn)
		v.conn.Close()
	case ShortBody:
		r.length = len(text) + 1
		v.send(r, text)
	case CutBody:
		r.length = -1
		io.WriteString(v.tls, v.head(r, text)+text[:len(text)/2])
		v.conn.Close()
	}
}

// dribble sends text byte by byte.
func (v *visit) dribble(text string) {
	for i := range len(text) {
		if !v.h.w.wait(slowly) {
			return
		}
		if _, err := io.WriteString(v.tls, text[i:i+1]); err != nil {
			return
		}
	}
}

// padded brings a policy to a size with an extension field that nobody knows.
func padded(text string, size int) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\r\n"
	}
	text += "padding: "
	if n := size - len(text) - len("\r\n"); n > 0 {
		text += strings.Repeat("x", n)
	}
	return text + "\r\n"
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}
