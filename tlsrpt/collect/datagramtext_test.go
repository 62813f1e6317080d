package collect

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/tlsrpt"
)

const plainRecord = "v=TLSRPTv1;rua=mailto:tls@example.com"

// What the daemon gets, to the byte.
func TestDatagramText(t *testing.T) {
	sts := enforce("example.com")
	tlsa := &tlsrpt.Policy{Type: tlsrpt.TLSA, Domain: "mx.example.com", Strings: []string{"3 1 1 00FF"}}
	none := &tlsrpt.Policy{Type: tlsrpt.NoPolicyFound, Domain: "example.com"}
	twice := session("example.com", sts, selfSigned, mismatch)
	twice.Outcomes = append(twice.Outcomes, tlsrpt.Outcome{Policy: tlsa})
	early := session("example.com", none, tlsrpt.Failure{Type: tlsrpt.STARTTLSNotSupported, Info: "https://x.test/?a"})
	early.HELO, early.SendingIP, early.ReceivingIP = "", netip.Addr{}, netip.Addr{}
	const (
		stsText = `{"policy-type":2,"policy-domain":"example.com","policy-string":["version: STSv1","mode: enforce","mx: *.example.com",` +
			`"mx: mx.backup.test","max_age: 604800"],"mx-host":["*.example.com","mx.backup.test"]`
		seen = `"s":"2a01:4f8::25","n":"mx.example.com","h":"mx.example.com","r":"93.184.216.34"`
	)
	for _, c := range []struct {
		name  string
		event tlsrpt.Event
		want  string
	}{
		{"a success", session("example.com", sts), stsText + `,"t":0,"f":0}`},
		{"a policy without texts", session("example.com", none), `{"policy-type":9,"policy-domain":"example.com","t":0,"f":0}`},
		{"two failures under one policy, none under another", twice,
			stsText + `,"failure-details":[{"c":203,` + seen + `,"f":"self-signed"},{"c":202,` + seen + `}],"t":2,"f":1},` +
				`{"policy-type":1,"policy-domain":"mx.example.com","policy-string":["3 1 1 00FF"],"t":0,"f":0}`},
		{"what is not known is left out", early,
			`{"policy-type":9,"policy-domain":"example.com","failure-details":[{"c":201,"n":"mx.example.com","a":"https://x.test/?a"}],"t":1,"f":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := appendDatagram(nil, &c.event, plainRecord, false)
			want := `{"dpv":"1","d":"example.com","pr":"` + plainRecord + `","policies":[` + c.want + `]}`
			if string(got) != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if _, err := readDatagram(got); err != nil {
				t.Error(err)
			}
		})
	}
	if got := string(appendDatagram(nil, &twice, plainRecord, true)); strings.Contains(got, `"s":`) { // RPT-52
		t.Errorf("masked: %s", got)
	}
}

func TestDatagramCodes(t *testing.T) {
	for typ, code := range map[tlsrpt.ResultType]int{
		tlsrpt.STARTTLSNotSupported: 201, tlsrpt.CertificateHostMismatch: 202, tlsrpt.CertificateNotTrusted: 203,
		tlsrpt.CertificateExpired: 204, tlsrpt.ValidationFailure: 205, tlsrpt.STSPolicyFetchError: 301,
		tlsrpt.STSPolicyInvalid: 302, tlsrpt.STSWebPKIInvalid: 303, tlsrpt.TLSAInvalid: 304,
		tlsrpt.DNSSECInvalid: 305, tlsrpt.DANERequired: 306, "made-up": 205,
	} {
		e := session("x.test", enforce("x.test"), tlsrpt.Failure{Type: typ, Reason: "a-reason"})
		d, err := readDatagram(appendDatagram(nil, &e, plainRecord, false))
		if err != nil || d.policies[0].details[0].code != code || d.policies[0].details[0].reason != "a-reason" {
			t.Errorf("%s: %+v, %v; want %d", typ, d, err, code)
		}
	}
}

// Whatever others say of themselves, the daemon gets clean text.
func TestDatagramIsClean(t *testing.T) { // R16
	e := tlsrpt.Event{
		Domain: "x.test", MXHost: "MX.X.test.", HELO: "a\xff\x00b\"", SendingIP: netip.MustParseAddr("10.0.0.1"),
		ReceivingIP: netip.MustParseAddr("::ffff:93.184.216.34"),
		Outcomes: []tlsrpt.Outcome{
			{},
			{Policy: &tlsrpt.Policy{Type: "made-up", Domain: "x.test"}},
			{Policy: &tlsrpt.Policy{
				Type: tlsrpt.STS, Domain: "\x1b[31m", MXHosts: []string{"", "*.B\u00fccher.test", "a b", "*", "192.0.2.1"},
				Strings: []string{"a\x00\"\\\xff\x1b\u0085", "", "\tmode:\u00e9\u202e"},
			}, Failures: []tlsrpt.Failure{
				{Type: tlsrpt.ValidationFailure, Reason: "550 said \"no\"\r\n", Info: "not a\nURI"},
				{Type: tlsrpt.ValidationFailure, Reason: tlsrpt.ReasonUnknown}, // the same, once it is clean
			}},
		},
	}
	d, err := readDatagram(appendDatagram(nil, &e, plainRecord, false))
	if err != nil {
		t.Fatal(err)
	}
	want := told{domain: "x.test", record: plainRecord, policies: []toldPolicy{{
		typ: 2, domain: "x.test", hosts: []string{"*.xn--bcher-kva.test"},
		strings: []string{"a\ufffd\"\\\ufffd\ufffd\ufffd", " mode:\u00e9\u202e"},
		details: []toldDetail{{code: 205, host: "mx.x.test", receivingIP: "93.184.216.34", reason: "unknown"}}, count: 1, failures: 1,
	}}}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got  %+v\nwant %+v", d, want)
	}
}

// monster is a session of which nothing is small.
func monster() tlsrpt.Event {
	host := func(i int) string {
		s := fmt.Sprintf("%d", i)
		label := strings.Repeat("m", 63) + "."
		return s + strings.Repeat("m", 63-len(s)) + "." + label + label + strings.Repeat("m", 56) + ".test"
	}
	p := tlsrpt.Policy{Type: tlsrpt.STS, Domain: host(0)}
	var failures []tlsrpt.Failure
	for i := range 1000 {
		p.Strings = append(p.Strings, strings.Repeat(`"\`, 100*i))
		p.MXHosts = append(p.MXHosts, host(i))
		failures = append(failures, tlsrpt.Failure{Type: tlsrpt.ValidationFailure, Reason: fmt.Sprintf("%064d", i), Info: "https://x.test/?" + strings.Repeat("a", 200)})
	}
	e := session("x.test", &p, failures...)
	e.MXHost, e.HELO = host(1), host(2)
	for range 100 {
		e.Outcomes = append(e.Outcomes, e.Outcomes[0])
	}
	return e
}

func TestDatagramIsBounded(t *testing.T) { // RPT-51
	e := monster()
	record := "v=TLSRPTv1;rua=" + strings.Repeat("https://r.test/"+strings.Repeat("a", 1009)+",", 3) + "https://r.test/" + strings.Repeat("a", 1009)
	b := appendDatagram(nil, &e, record, false)
	d, err := readDatagram(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > maxDatagram || len(b) < maxDatagram/4 {
		t.Errorf("%d octets, the bound is %d", len(b), maxDatagram)
	}
	if n := len(d.policies); n != maxDatagramPolicies {
		t.Errorf("%d policies", n)
	}
	for _, p := range d.policies {
		if len(p.details) != maxDatagramDetails || len(p.hosts) != 32 {
			t.Errorf("%d details, %d hosts", len(p.details), len(p.hosts))
		}
	}
	// The daemon knows a policy by its text: it is cut the same whatever failed.
	e.Outcomes[0].Failures = nil
	again, err := readDatagram(appendDatagram(nil, &e, record, false))
	if err != nil || !reflect.DeepEqual(again.policies[0].strings, d.policies[1].strings) || !reflect.DeepEqual(again.policies[0].hosts, d.policies[1].hosts) {
		t.Errorf("a policy without failures is told in another way: %v", err)
	}
}

// Whatever an event holds, the daemon can read the datagram.
func FuzzDatagram(f *testing.F) {
	f.Add("x.test", "version: STSv1", "*.x.test", "mx.x.test", "mx.x.test greets", "self-signed", "https://x.test/", uint8(2))
	f.Add("x.test", "\xff\x00\"\\\u0085\u2028", "*", "\x1b", "[192.0.2.1]", "\"", "a b", uint8(1))
	f.Add("", "", "", "", "", "", "", uint8(0))
	types := []tlsrpt.PolicyType{tlsrpt.NoPolicyFound, tlsrpt.TLSA, tlsrpt.STS}
	f.Fuzz(func(t *testing.T, domain, line, pattern, host, helo, reason, info string, n uint8) {
		p := &tlsrpt.Policy{Type: types[n%3], Domain: domain, Strings: []string{line, domain}, MXHosts: []string{pattern, host}}
		failures := []tlsrpt.Failure{{Type: tlsrpt.ResultType(reason), Reason: reason, Info: info}, {Type: tlsrpt.CertificateExpired}}
		e := session("x.test", p, failures[:n%3]...)
		e.MXHost, e.HELO = host, helo
		e.Outcomes = append(e.Outcomes, tlsrpt.Outcome{Policy: p, Failures: failures})
		b := appendDatagram(nil, &e, plainRecord, n%2 == 0)
		if _, err := readDatagram(b); err != nil || len(b) > maxDatagram {
			t.Fatalf("%v: %s", err, b)
		}
	})
}

func BenchmarkDatagramText(b *testing.B) {
	e := session("example.com", enforce("example.com"), selfSigned)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendDatagram(buf[:0], &e, plainRecord, false)
	}
	b.SetBytes(int64(len(buf)))
}
