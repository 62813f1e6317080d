package strictmxtest

import (
	"fmt"
)

// MXFault is something wrong with how an MX host speaks SMTP; see [MX.Fault].
// What is wrong with its certificate is a [Certificate]; both may be ordered at
// once.
type MXFault uint32

// What an MX host can do wrong.
const (
	_ MXFault = iota
	_
	// RefuseConnection closes the port: nobody listens there any more.
	RefuseConnection
	// HangBeforeGreeting takes the connection and is silent.
	HangBeforeGreeting
	// CloseAfterGreeting hangs up after the greeting.
	CloseAfterGreeting
	// CloseAfterEHLO hangs up after the first EHLO was received, without a reply.
	CloseAfterEHLO
	// EndlessLine answers EHLO with a line that does not end.
	EndlessLine
	// EndlessReply answers EHLO with lines that do not end.
	EndlessReply
	// NoSTARTTLS does not offer it, and refuses the command.
	NoSTARTTLS
	// StrippedSTARTTLS shows XXXXXXXX in its place, as some that sit in between do.
	StrippedSTARTTLS
	// GarbageAfter220 answers the ClientHello with bytes that are no TLS.
	GarbageAfter220
	// CloseAfter220 hangs up instead of a handshake.
	CloseAfter220
	// HangAfter220 is silent instead of a handshake.
	HangAfter220
	// InjectAfter220 sends replies in clear in one packet with the 220, as if they
	// came after the handshake, which then succeeds (CVE-2011-0411).
	InjectAfter220
	// CloseAfterClientHello reads the ClientHello and hangs up.
	CloseAfterClientHello
	// WeakCiphers knows TLS 1.2 with RC4 and nothing better.
	WeakCiphers
	// DemandClientCert wants a certificate of the client. In TLS 1.3 the client
	// learns that only after its handshake has succeeded.
	DemandClientCert
	// DropAfterHandshake hangs up right after a handshake that succeeded.
	DropAfterHandshake
	// CloseInDATA hangs up while the message comes in.
	CloseInDATA

	refuseGreeting
	refuseEHLO
	refuseSTARTTLS
	refuseMAIL
	refuseRCPT
	refuseDATA
	refuseMessage
)

// RefuseGreeting greets with a code, such as 554 or 421.
func RefuseGreeting(code int) MXFault { return refuseGreeting | MXFault(argument(code)) }

// RefuseEHLO answers EHLO with a code, such as 502; HELO works.
func RefuseEHLO(code int) MXFault { return refuseEHLO | MXFault(argument(code)) }

// RefuseSTARTTLS offers STARTTLS and answers it with a code, such as 454.
func RefuseSTARTTLS(code int) MXFault { return refuseSTARTTLS | MXFault(argument(code)) }

// RefuseMAIL answers MAIL with a code.
func RefuseMAIL(code int) MXFault { return refuseMAIL | MXFault(argument(code)) }

// RefuseRCPT answers every RCPT with a code; see [MX.Refuse] for single ones.
func RefuseRCPT(code int) MXFault { return refuseRCPT | MXFault(argument(code)) }

// RefuseDATA answers DATA with a code.
func RefuseDATA(code int) MXFault { return refuseDATA | MXFault(argument(code)) }

// RefuseMessage answers the dot that ends the message with a code.
func RefuseMessage(code int) MXFault { return refuseMessage | MXFault(argument(code)) }

// MXFaults returns every fault an MX host knows, for tests that walk them all;
// where a fault takes a code, with those that matter.
func MXFaults() []MXFault {
	all := []MXFault{TLS11Only}
	for f := RefuseConnection; f < refuseGreeting; f++ {
		all = append(all, f)
	}
	return append(all,
		RefuseGreeting(554), RefuseGreeting(421), RefuseEHLO(502), RefuseEHLO(550),
		RefuseSTARTTLS(454), RefuseSTARTTLS(501), RefuseSTARTTLS(502), RefuseSTARTTLS(554),
		RefuseMAIL(451), RefuseMAIL(550), RefuseRCPT(450), RefuseRCPT(550),
		RefuseDATA(451), RefuseDATA(554), RefuseMessage(451), RefuseMessage(554),
	)
}

func (f MXFault) kind() MXFault { return f & (1<<argShift - 1) }
func (f MXFault) arg() int      { return int(f >> argShift) }

// String is the fault's name.
func (f MXFault) String() string {
	names := [...]string{
		None: "none", TLS11Only: "TLS 1.1 only", RefuseConnection: "connection refused",
		HangBeforeGreeting: "hang before greeting", CloseAfterGreeting: "close after greeting",
		CloseAfterEHLO: "close after EHLO", EndlessLine: "endless line", EndlessReply: "endless reply",
		NoSTARTTLS: "no STARTTLS", StrippedSTARTTLS: "stripped STARTTLS", GarbageAfter220: "garbage after 220",
		CloseAfter220: "close after 220", HangAfter220: "hang after 220", InjectAfter220: "plaintext injected after 220",
		CloseAfterClientHello: "close after ClientHello", WeakCiphers: "weak ciphers only",
		DemandClientCert: "client certificate demanded", DropAfterHandshake: "drop after handshake", CloseInDATA: "close in DATA",
		refuseGreeting: "greeting", refuseEHLO: "EHLO answered", refuseSTARTTLS: "STARTTLS answered", refuseMAIL: "MAIL answered",
		refuseRCPT: "RCPT answered", refuseDATA: "DATA answered", refuseMessage: "message answered",
	}
	switch k := f.kind(); {
	case int(k) >= len(names) || k < refuseGreeting && f.arg() != 0:
		return fmt.Sprintf("MXFault(%d)", uint32(f))
	case k >= refuseGreeting:
		return fmt.Sprintf("%s %d", names[k], f.arg())
	}
	return names[f]
}
