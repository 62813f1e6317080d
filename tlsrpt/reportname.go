package tlsrpt

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/strictmx/strictmx/internal/tagvalue"
)

// reportID makes the ID of a report (AMB-37). It depends on who sends it, about
// whom and for which day, and on nothing else: who builds the report of a day
// again, after a restart, gives it the same ID, and no two reports share one.
func reportID(s Submitter, submitter, domain string, day time.Time) string {
	of := strings.Join([]string{submitter, s.Node, domain, day.Format(time.DateOnly)}, "\n")
	return digest(of) + "@" + submitter
}

// digest returns 24 letters and digits that stand for a text.
func digest(of string) string {
	sum := sha256.Sum256([]byte(of))
	return hex.EncodeToString(sum[:12])
}

// uniqueID is the left side of the ID as a file name may hold it: letters and
// digits (RFC 8460, section 5.1).
func (r *Report) uniqueID() string {
	left, _, _ := strings.Cut(r.ID, "@")
	b := make([]byte, 0, len(left))
	for i := 0; i < len(left) && len(b) < 64; i++ {
		if tagvalue.IsAlphanumeric(left[i]) {
			b = append(b, left[i])
		}
	}
	return string(b)
}

// Filename returns the name of the file that Gzip returns (RFC 8460, section
// 5.1): "submitter!domain!begin!end!id.json.gz". It holds letters, digits,
// ".", "-", "_" and "!" whatever the report says; what is no name is "unknown".
func (r *Report) Filename() string {
	unix := func(t time.Time) string { return strconv.FormatInt(max(0, t.Unix()), 10) }
	name := named(r.Submitter()) + "!" + named(r.about()) + "!" + unix(r.Range.Start) + "!" + unix(r.Range.End)
	if id := r.uniqueID(); id != "" {
		name += "!" + id
	}
	return name + ".json.gz"
}

// Subject returns the subject of the mail that carries the report (RFC 8460,
// section 5.3), on one line: "Report Domain: example.com Submitter: example.org
// Report-ID: <id@example.org>". What is no name in it is "unknown".
func (r *Report) Subject() string { return strings.Join(r.subject(), " ") }

// subject returns the words of the subject, between which it may be folded.
func (r *Report) subject() []string {
	id := r.ID
	if !isReportID(id) {
		id = "unknown"
	}
	return []string{"Report Domain: " + named(r.about()), "Submitter: " + named(r.Submitter()), "Report-ID: <" + id + ">"}
}

func named(name string) string {
	if name == "" {
		return "unknown"
	}
	return name
}
