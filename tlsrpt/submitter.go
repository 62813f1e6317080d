package tlsrpt

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/internal/tagvalue"
)

const (
	maxOrganization = 255
	maxNode         = 32
)

// Submitter is who sends reports.
type Submitter struct {
	// Organization is the name that people know: "Example Mail". It may hold
	// letters of any script.
	Organization string
	// Contact is the address of whoever answers for the reports, and the From
	// address of those that go by mail: "tls@example.org". Its domain is the
	// name of the submitter, and must be the one that signs the mails (DKIM).
	Contact string
	// Node tells several senders of one organisation apart that report on the
	// same domains: at most 32 letters and digits. "" is right for the only one. On
	// two machines it gives their reports of a day the same report-id with different
	// counts, and a receiver may drop the second as a copy.
	Node string
}

// Check says what to correct before reports can be sent in the name of s.
func (s Submitter) Check() error {
	_, err := s.contact()
	outside := func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }
	node := func(r rune) bool { return r > '~' || !tagvalue.IsAlphanumeric(byte(r)) }
	switch {
	case strings.TrimSpace(s.Organization) == "":
		return errors.New("submitter: Organization is empty: name who sends the reports")
	case len(s.Organization) > maxOrganization:
		return errors.New("submitter: Organization has more than 255 octets: shorten it")
	case !utf8.ValidString(s.Organization) || strings.ContainsFunc(s.Organization, outside):
		return errors.New("submitter: Organization has a control character, or is not UTF-8")
	case err != nil:
		return err
	case len(s.Node) > maxNode || strings.ContainsFunc(s.Node, node):
		return errors.New("submitter: Node is to be at most 32 letters (a to z, A to Z) and digits")
	}
	return nil
}

// contact returns the address in its canonical form.
func (s Submitter) contact() (mailbox, error) {
	m, ok := parseAddrSpec(s.Contact)
	switch {
	case s.Contact == "":
		return m, errors.New("submitter: Contact is empty: give the address of whoever answers for the reports")
	case !ok:
		return m, errors.New("submitter: Contact is to be a plain address such as tls@example.org, " +
			"without a name, angle brackets or mailto:, and with a domain of two labels or more")
	}
	return m, nil
}

// parseAddrSpec reads an address as SMTP knows it, local@domain, with the same care
// as one from a record.
func parseAddrSpec(s string) (mailbox, bool) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 || len(s) > 4*maxMailbox {
		return mailbox{}, false
	}
	local, ok1 := parseLocalPart(s[:at])
	domain, ok2 := publicHost(s[at+1:])
	m := mailbox{local, domain}
	return m, ok1 && ok2 && len(m.address()) <= maxMailbox
}

// Submitter returns the domain of Contact, which is who sends the report; "" if
// Contact is no address.
func (r *Report) Submitter() string {
	m, _ := parseAddrSpec(r.Contact)
	return m.domain
}

// about returns the domain that the report is about, "" if that is no name.
func (r *Report) about() string {
	domain, err := dnsname.Domain(r.Domain)
	if err != nil {
		return ""
	}
	return domain
}
