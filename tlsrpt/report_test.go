package tlsrpt

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"
)

// RPT-55, RPT-57, RPT-59, RPT-63, RPT-69, RPT-70, RPT-74, RPT-80, RPT-83
func TestReportAsJSON(t *testing.T) {
	r := Report{
		Organization: "Example", Contact: "tls@example.org", ID: "1@example.org", Domain: "example.com",
		Range: Day(time.Date(2024, 5, 1, 23, 59, 59, 999, time.FixedZone("west", -3600))),
		Policies: []PolicyResult{{
			Policy:  Policy{Type: STS, Domain: "example.com", Strings: []string{"version: STSv1"}, MXHosts: []string{"*.example.com"}},
			Summary: Summary{Successful: 3, Failed: 1},
			Failures: []FailureDetail{{
				Type: ValidationFailure, SendingIP: netip.MustParseAddr("2001:db8::1"), MXHost: "mx.example.com", HELO: "mx",
				ReceivingIP: netip.MustParseAddr("192.0.2.1"), Sessions: 1, Reason: ReasonTLSVersion,
			}, {
				Type: STSPolicyFetchError, Sessions: 1,
			}},
		}, {
			Policy: Policy{Type: NoPolicyFound, Domain: "example.com"},
		}},
	}
	const want = `{"organization-name":"Example",` +
		`"date-range":{"start-datetime":"2024-05-02T00:00:00Z","end-datetime":"2024-05-02T23:59:59Z"},` +
		`"contact-info":"tls@example.org","report-id":"1@example.org","policies":[` +
		`{"policy":{"policy-type":"sts","policy-string":["version: STSv1"],"policy-domain":"example.com","mx-host":["*.example.com"]},` +
		`"summary":{"total-successful-session-count":3,"total-failure-session-count":1},"failure-details":[` +
		`{"result-type":"validation-failure","sending-mta-ip":"2001:db8::1","receiving-mx-hostname":"mx.example.com","receiving-mx-helo":"mx",` +
		`"receiving-ip":"192.0.2.1","failed-session-count":1,"failure-reason-code":"tls-version"},` +
		`{"result-type":"sts-policy-fetch-error","failed-session-count":1}]},` +
		`{"policy":{"policy-type":"no-policy-found","policy-domain":"example.com"},` +
		`"summary":{"total-successful-session-count":0,"total-failure-session-count":0},"failure-details":[]}]}`
	if got, err := json.Marshal(r); err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}
