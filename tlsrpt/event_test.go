package tlsrpt

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// An event as JSON has the member names of RFC 8460, section 4.4, and none for
// what is not known (RPT-80, RPT-123).
func TestEventAsJSON(t *testing.T) {
	for _, c := range []struct {
		event Event
		want  string
	}{{
		Event{
			Time: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), Domain: "example.com", MXHost: "mx.example.com", HELO: "mx",
			SendingIP: netip.MustParseAddr("2001:db8::1"), ReceivingIP: netip.MustParseAddr("192.0.2.1"),
			Outcomes: []Outcome{{
				Policy:   &Policy{Type: STS, Domain: "example.com", Strings: []string{"version: STSv1"}, MXHosts: []string{"*.example.com"}},
				Failures: []Failure{{CertificateNotTrusted, ReasonSelfSigned, ""}},
			}},
		},
		`{"time":"2026-05-01T12:00:00Z","domain":"example.com","receiving-mx-hostname":"mx.example.com","receiving-mx-helo":"mx",` +
			`"sending-mta-ip":"2001:db8::1","receiving-ip":"192.0.2.1","policies":[{"policy":{"policy-type":"sts",` +
			`"policy-string":["version: STSv1"],"policy-domain":"example.com","mx-host":["*.example.com"]},"failure-details":[{"result-type":"certificate-not-trusted",` +
			`"failure-reason-code":"self-signed"}]}]}`,
	}, {
		Event{
			Time: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), Domain: "example.com", MXHost: "mx.example.com",
			Outcomes: []Outcome{{Policy: &Policy{Type: NoPolicyFound, Domain: "example.com"}}},
		},
		`{"time":"2026-05-01T12:00:00Z","domain":"example.com","receiving-mx-hostname":"mx.example.com",` +
			`"policies":[{"policy":{"policy-type":"no-policy-found","policy-domain":"example.com"}}]}`,
	}} {
		got, err := json.Marshal(c.event)
		if err != nil || string(got) != c.want {
			t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
		}
		var back Event
		if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, c.event) {
			t.Errorf("%+v, %v", back, err)
		}
	}
}

func TestFailureInWords(t *testing.T) {
	for f, want := range map[Failure]string{
		{Type: CertificateExpired}:                              "certificate-expired",
		{Type: CertificateNotTrusted, Reason: ReasonSelfSigned}: "certificate-not-trusted (self-signed)",
		{Type: CertificateExpired, Reason: ReasonExpired}:       "certificate-expired",
	} {
		if got := f.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
