package tlsrpt

import (
	"encoding/json"
	"errors"
	"net/netip"
	"time"
)

// Report is what one organisation saw of the TLS sessions to one recipient
// domain during one UTC day (RFC 8460, section 4.4). As JSON it is the report
// itself, with the members of the RFC and in its order.
type Report struct {
	// Organization is the name of who sends the report.
	Organization string `json:"organization-name"`
	// Range is the UTC day.
	Range DateRange `json:"date-range"`
	// Contact is the address of whoever answers for the report, an addr-spec:
	// "tls@example.org". Its domain is the submitter.
	Contact string `json:"contact-info"`
	// ID is unique to the report, "left@submitter", and the same for everyone who
	// gets it.
	ID string `json:"report-id"`
	// Policies has one element for each policy that sessions were judged by, at
	// least one.
	Policies []PolicyResult `json:"policies"`

	// Domain is the recipient domain that the report is about, in A-labels. The
	// file name and the mail name it, and the JSON does not; "" in a report
	// that was read from JSON alone.
	Domain string `json:"-"`
}

// DateRange is the time that a report covers. As JSON its ends are in UTC, in
// whole seconds (RFC 3339).
type DateRange struct {
	Start, End time.Time // the first and the last second
}

// Day returns the UTC day that t is in, from 00:00:00 to 23:59:59 (RFC 8460,
// section 4.1 and appendix B).
func Day(t time.Time) DateRange {
	y, m, d := t.UTC().Date()
	start := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	return DateRange{Start: start, End: start.AddDate(0, 0, 1).Add(-time.Second)}
}

// MarshalJSON returns the two members start-datetime and end-datetime.
func (d DateRange) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Start string `json:"start-datetime"`
		End   string `json:"end-datetime"`
	}{d.Start.UTC().Format(time.RFC3339), d.End.UTC().Format(time.RFC3339)})
}

// UnmarshalJSON reads what MarshalJSON writes. It takes a time without a zone as
// UTC.
func (d *DateRange) UnmarshalJSON(b []byte) error {
	var text struct {
		Start string `json:"start-datetime"`
		End   string `json:"end-datetime"`
	}
	if err := json.Unmarshal(b, &text); err != nil || string(b) == "null" {
		return err
	}
	var ok1, ok2 bool
	d.Start, ok1 = parseTime(text.Start)
	d.End, ok2 = parseTime(text.End)
	if !ok1 || !ok2 {
		return errors.New("date-range: no date and time as in RFC 3339")
	}
	return nil
}

// PolicyResult is what became of all the sessions that one policy judged.
type PolicyResult struct {
	Policy  Policy  `json:"policy"`
	Summary Summary `json:"summary"`
	// Failures are the sessions that failed, by everything that is known of
	// them. One session may be in several (section 4).
	Failures []FailureDetail `json:"failure-details"`
}

// MarshalJSON returns the three members, failure-details as an array also where
// nothing failed (AMB-38).
func (p PolicyResult) MarshalJSON() ([]byte, error) {
	type plain PolicyResult // without this method
	if p.Failures == nil {
		p.Failures = []FailureDetail{}
	}
	return json.Marshal(plain(p))
}

// Summary counts sessions.
type Summary struct {
	Successful int64 `json:"total-successful-session-count"`
	Failed     int64 `json:"total-failure-session-count"`
}

// FailureDetail counts the sessions that failed in one way with one host. What is
// not known of them is zero, and left out of the JSON.
type FailureDetail struct {
	Type        ResultType `json:"result-type"`
	SendingIP   netip.Addr `json:"sending-mta-ip,omitzero"`
	MXHost      string     `json:"receiving-mx-hostname,omitempty"`
	HELO        string     `json:"receiving-mx-helo,omitempty"`
	ReceivingIP netip.Addr `json:"receiving-ip,omitzero"`
	Sessions    int64      `json:"failed-session-count"` // at least 1
	// Info is the additional-information: an absolute URI, or "".
	Info string `json:"additional-information,omitempty"`
	// Reason is the failure-reason-code: in what we send, a word of our
	// vocabulary; in what others send, any text.
	Reason string `json:"failure-reason-code,omitempty"`
}

// MaxCount is the largest count that a report may hold: 2^53-1, the largest
// integer that every reader of I-JSON understands (RFC 7493, section 2.2).
const MaxCount = 1<<53 - 1
