package collect

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

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
	p := o.Policy.Clean()
	b = append(b, `{"policy-type":`...)
	b = strconv.AppendInt(b, policyCode(p.Type), 10)
	b = append(b, `,"policy-domain":`...)
	b = appendText(b, cmp.Or(p.Domain, e.Domain))
	b = appendList(b, `,"policy-string":[`, p.Strings)
	b = appendList(b, `,"mx-host":[`, p.MXHosts)
	failures := cleanFailures(o.Failures)
	if len(failures) == 0 {
		return append(b, `,"t":0,"f":0}`...)
	}
	seen := tlsrpt.FailureDetail{MXHost: e.MXHost, HELO: e.HELO, ReceivingIP: e.ReceivingIP, SendingIP: e.SendingIP}.Clean()
	if maskIP { // RPT-52
		seen.SendingIP = netip.Addr{}
	}
	mark := `,"failure-details":[`
	for _, f := range failures {
		b = appendFailure(append(b, mark...), &seen, f)
		mark = ","
	}
	b = append(b, `],"t":`...)
	b = strconv.AppendInt(b, int64(len(failures)), 10)
	return append(b, `,"f":1}`...)
}

// appendList appends the texts that are not empty after their head, or nothing.
func appendList(b []byte, head string, texts []string) []byte {
	mark := head
	for _, text := range texts {
		if text != "" {
			b = appendText(append(b, mark...), text)
			mark = ","
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

// appendFailure appends a failure, with what was seen of the host, clean.
func appendFailure(b []byte, seen *tlsrpt.FailureDetail, f tlsrpt.Failure) []byte {
	b = append(b, `{"c":`...)
	b = strconv.AppendInt(b, resultCode(f.Type), 10)
	if seen.SendingIP.IsValid() {
		b = append(b, `,"s":"`...)
		b = append(seen.SendingIP.AppendTo(b), '"')
	}
	b = appendMember(b, `,"n":`, seen.MXHost)
	b = appendMember(b, `,"h":`, seen.HELO)
	if seen.ReceivingIP.IsValid() {
		b = append(b, `,"r":"`...)
		b = append(seen.ReceivingIP.AppendTo(b), '"')
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
