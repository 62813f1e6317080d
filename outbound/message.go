package outbound

import (
	"bytes"
	"unicode/utf8"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// message is a message as DATA carries it, and what it asks of a server.
type message struct {
	wire []byte // CRLF line ends, dots stuffed, the final dot on its line
	size int    // octets before dot-stuffing, without the final dot (RFC 1870, section 3)
	// eightBit: bytes beyond ASCII, which want 8BITMIME (RFC 6152, section 3).
	eightBit bool
	// utf8: such bytes in the header, as UTF-8, which want SMTPUTF8 (RFC 6532,
	// section 3.2). Other bytes there are an old mistake, and ask for no more than 8BITMIME.
	utf8 bool
	// nul: a NUL, which no server has to take (RFC 5321, section 2.3.1; RFC 2045,
	// section 2.8), and which some drop: dots that it hides would end the message.
	nul bool
}

// newMessage makes every line end a CRLF. A lone CR or LF must not be sent (RFC 5321,
// section 2.3.8), and servers that disagree on what it means can be made to see
// a second message in the first.
func newMessage(msg []byte) message {
	wire := make([]byte, 0, len(msg)+bytes.Count(msg, []byte{'\n'})+len("\r\n.\r\n"))
	m := message{nul: bytes.IndexByte(msg, 0) >= 0}
	for len(msg) > 0 {
		line := msg
		if end := bytes.IndexAny(msg, "\r\n"); end < 0 {
			msg = nil
		} else {
			line = msg[:end]
			if msg[end] == '\r' && end+1 < len(msg) && msg[end+1] == '\n' {
				end++
			}
			msg = msg[end+1:]
		}
		if len(line) > 0 && line[0] == '.' { // RFC 5321, section 4.5.2
			wire = append(wire, '.')
			m.size--
		}
		wire = append(append(wire, line...), "\r\n"...)
	}
	m.size += len(wire)
	m.wire = append(wire, ".\r\n"...)
	if m.eightBit = !dnsname.IsASCII(m.wire); m.eightBit && !bytes.HasPrefix(m.wire, []byte("\r\n")) {
		header, _, _ := bytes.Cut(m.wire, []byte("\r\n\r\n"))
		m.utf8 = !dnsname.IsASCII(header) && utf8.Valid(header)
	}
	return m
}
