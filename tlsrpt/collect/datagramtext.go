package collect

import (
	"slices"
	"strconv"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	maxDatagramPolicies = 4
	maxDatagramDetails  = 16 // of a policy
	// maxDatagram is what all bounds come to. The kernel takes datagrams of some
	// 200 KiB.
	maxDatagram = 192 << 10
)

// appendDatagram appends what the daemon is told of a session: one JSON object,
// with its members in the order that libtlsrpt writes them. The daemon knows a
// policy by its text, so a policy is always written, and cut, in the same way;
// it takes no empty list and no empty string, and dies of what is not UTF-8.
func appendDatagram(b []byte, e *tlsrpt.Event, record string, maskIP bool) []byte {
	b = append(b, `{"dpv":"1","d":`...)
	b = appendText(b, e.Domain)
	b = append(b, `,"pr":`...)
	b = appendText(b, record)
	b = append(b, `,"policies":[`...)
	n := 0
	for i := range e.Outcomes {
		o := &e.Outcomes[i]
		if n == maxDatagramPolicies || o.Policy == nil || letterOf(o.Policy.Type) == 0 {
			continue
		}
		if n > 0 {
			b = append(b, ',')
		}
		n++
		b = appendOutcome(b, e, o, maskIP)
	}
	return append(b, "]}"...)
}

func appendOutcome(b []byte, e *tlsrpt.Event, o *tlsrpt.Outcome, maskIP bool) []byte {
	p := o.Policy
	b = append(b, `{"policy-type":`...)
	b = strconv.AppendInt(b, policyCode(p.Type), 10)
	domain, err := dnsname.Host(p.Domain)
	if err != nil {
		domain = e.Domain
	}
	b = append(b, `,"policy-domain":`...)
	b = appendText(b, domain)
	b = appendList(b, `,"policy-string":[`, p.Strings, func(line string, room int) (string, bool) {
		line = cleanLine(line, room)
		return line, line != ""
	})
	b = appendList(b, `,"mx-host":[`, p.MXHosts, func(mx string, room int) (string, bool) {
		mx, ok := cleanPattern(mx)
		return mx, ok && len(mx) <= room
	})
	failures := cleanFailures(o.Failures)
	for i, f := range failures {
		if i == 0 {
			b = append(b, `,"failure-details":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendFailure(b, e, f, maskIP)
	}
	failed := int64(0)
	if len(failures) > 0 {
		b = append(b, ']')
		failed = 1
	}
	b = append(b, `,"t":`...)
	b = strconv.AppendInt(b, int64(len(failures)), 10)
	b = append(b, `,"f":`...)
	b = strconv.AppendInt(b, failed, 10)
	return append(b, '}')
}

// appendList appends a list after its head, or nothing if none of it is fit to
// tell. All its texts together are bounded.
func appendList(b []byte, head string, texts []string, clean func(text string, room int) (string, bool)) []byte {
	room, mark := maxPolicyText, head
	for _, text := range texts {
		text, ok := clean(text, room)
		if !ok {
			continue
		}
		b = append(b, mark...)
		b = appendText(b, text)
		mark = ","
		if room -= len(text) + len(`"",`); room <= 0 {
			break
		}
	}
	if mark == head {
		return b
	}
	return append(b, ']')
}

// cleanFailures returns what went wrong, each but once (RPT-27).
func cleanFailures(failures []tlsrpt.Failure) []tlsrpt.Failure {
	var clean []tlsrpt.Failure
	for _, f := range failures {
		if f = f.Clean(); len(clean) < maxDatagramDetails && !slices.Contains(clean, f) {
			clean = append(clean, f)
		}
	}
	return clean
}

func appendFailure(b []byte, e *tlsrpt.Event, f tlsrpt.Failure, maskIP bool) []byte {
	b = append(b, `{"c":`...)
	b = strconv.AppendInt(b, resultCode(f.Type), 10)
	if a := cleanAddr(e.SendingIP); a.IsValid() && !maskIP { // RPT-52
		b = append(b, `,"s":"`...)
		b = append(a.AppendTo(b), '"')
	}
	b = appendMember(b, `,"n":`, cleanHost(e.MXHost))
	b = appendMember(b, `,"h":`, cleanHost(e.HELO))
	if a := cleanAddr(e.ReceivingIP); a.IsValid() {
		b = append(b, `,"r":"`...)
		b = append(a.AppendTo(b), '"')
	}
	b = appendMember(b, `,"a":`, f.Info)
	b = appendMember(b, `,"f":`, f.Reason)
	return append(b, '}')
}

func appendMember(b []byte, head, text string) []byte {
	if text == "" {
		return b
	}
	return appendText(append(b, head...), text)
}

// appendText appends a string of clean UTF-8 without control characters: quotes
// and backslashes are all that JSON wants escaped in it.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// policyCode is a policy type as libtlsrpt numbers it.
func policyCode(t tlsrpt.PolicyType) int64 {
	switch t {
	case tlsrpt.TLSA:
		return 1
	case tlsrpt.STS:
		return 2
	}
	return 9
}

// resultCode is a registered result type as libtlsrpt numbers it.
func resultCode(t tlsrpt.ResultType) int64 {
	switch t {
	case tlsrpt.STARTTLSNotSupported:
		return 201
	case tlsrpt.CertificateHostMismatch:
		return 202
	case tlsrpt.CertificateNotTrusted:
		return 203
	case tlsrpt.CertificateExpired:
		return 204
	case tlsrpt.STSPolicyFetchError:
		return 301
	case tlsrpt.STSPolicyInvalid:
		return 302
	case tlsrpt.STSWebPKIInvalid:
		return 303
	case tlsrpt.TLSAInvalid:
		return 304
	case tlsrpt.DNSSECInvalid:
		return 305
	case tlsrpt.DANERequired:
		return 306
	}
	return 205 // validation-failure
}
