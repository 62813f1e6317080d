package tlsrpt

import (
	"errors"
	"slices"
	"strings"
)

// SignedHeaders returns the names of the headers that the DKIM signature of a
// Message must cover (RFC 8460, section 5.3, for those of TLS-RPT): all that it
// has and the signature can see. The caller owns the slice.
func SignedHeaders() []string {
	return []string{
		"From", "To", "Date", "Subject", "Message-ID", "TLS-Report-Domain", "TLS-Report-Submitter",
		"TLS-Required", "Auto-Submitted", "MIME-Version", "Content-Type",
	}
}

// CheckDKIMKey says what to correct in the DKIM key record, the TXT record at
// selector._domainkey.domain, before reports can be signed with the key: its
// "s=" must allow them, or receivers may ignore what it signed (RFC 8460,
// section 3). A record without "s=" allows everything. Where it is "s=tlsrpt"
// alone, the key must not sign any other mail, and filters that know mail alone
// take what it signed for unsigned: "s=tlsrpt:email" suits both.
func CheckDKIMKey(record string) error {
	tags, err := dkimTags(record)
	if err != nil {
		return err
	}
	if v, ok := tags["v"]; ok && v != "DKIM1" { // RFC 6376, section 3.6.1
		return errors.New("DKIM key record: the version is not v=DKIM1")
	}
	switch key, ok := tags["p"]; {
	case !ok:
		return errors.New("DKIM key record: there is no p=, which holds the key")
	case key == "":
		return errors.New("DKIM key record: p= is empty, so the key is revoked: publish the key that signs")
	}
	s, ok := tags["s"]
	services := strings.FieldsFunc(s, func(r rune) bool { return r == ':' || r == ' ' || r == '\t' })
	if ok && !slices.Contains(services, "*") && !slices.Contains(services, "tlsrpt") {
		return errors.New("DKIM key record: s=" + cleanText(s) + " does not allow reports: " +
			"write s=" + cleanText(strings.Join(append(services, "tlsrpt"), ":")) + ", or leave s= out")
	}
	return nil
}

// dkimTags reads a tag-list (RFC 6376, section 3.2).
func dkimTags(list string) (map[string]string, error) {
	tags := make(map[string]string)
	for tag := range strings.SplitSeq(list, ";") {
		if strings.TrimSpace(tag) == "" {
			continue
		}
		name, value, ok := strings.Cut(tag, "=")
		name = strings.TrimSpace(name)
		if _, double := tags[name]; !ok || double {
			return nil, errors.New("DKIM tags: " + cleanText(tag) + " is no name=value, or is there twice")
		}
		tags[name] = strings.TrimSpace(value)
	}
	return tags, nil
}
