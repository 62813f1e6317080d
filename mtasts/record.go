package mtasts

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/strictmx/strictmx/internal/tagvalue"
	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	recordVersion = "v=STSv1" // RFC 8461, section 3.1: case-sensitive, the first field
	maxID         = 32        // RFC 8461, section 3.1
	maxExtensions = 64        // R11; more are checked, but not kept
)

// ParseRecord parses the text of one TXT record, its character-strings joined
// (RFC 8461, section 3.1). A record is good as a whole or not at all: any
// malformed field is an error, and so is a malformed first id, even when a good
// one follows. Of two fields of one name the first counts, and the other is not
// looked at. The error is a [*ParseError].
func ParseRecord(txt string) (Record, error) {
	var r Record
	s := tagvalue.Scan(txt, recordVersion)
	for {
		name, value, ok := s.Next()
		if !ok {
			break
		}
		switch {
		case name == "v": // the version was the first of them
		case name == "id":
			if r.ID != "" {
				continue
			}
			if !tagvalue.Alphanumeric(value, maxID) {
				return Record{}, recordError(tlsrpt.ReasonBadID, txt)
			}
			r.ID = value
		case slices.ContainsFunc(r.Extensions, func(e Extension) bool { return e.Name == name }):
		case !tagvalue.Name(name) || !tagvalue.Value(value):
			return Record{}, recordError(tlsrpt.ReasonBadRecord, txt)
		case len(r.Extensions) < maxExtensions:
			r.Extensions = append(r.Extensions, Extension{Name: name, Value: value})
		}
	}
	switch {
	case s.Err() != nil:
		return Record{}, recordError(tlsrpt.ReasonBadRecord, txt)
	case r.ID == "":
		return Record{}, recordError(tlsrpt.ReasonMissingID, txt)
	}
	r.ID = strings.Clone(r.ID) // it is kept as long as the policy; the rest of the text need not be
	return r, nil
}

func recordError(reason, txt string) error {
	return &ParseError{Reason: reason, Text: strings.Clone(clean(txt))}
}

// What a TXT RRset holds when it does not hold a record. Any of them means that
// discovery ends here, and none that a policy held is void (RFC 8461, section
// 3.1).
var (
	// errTXTNone: treat the domain as one without MTA-STS.
	errTXTNone = errors.New("mtasts: no MTA-STS record")
	// errTXTMultiple: as errTXTNone, but tell the owner: txt-multiple.
	errTXTMultiple = errors.New("mtasts: more than one MTA-STS record")
	// errTXTInvalid: as errTXTNone, but tell the owner: txt-invalid. It wraps the
	// *ParseError.
	errTXTInvalid = errors.New("mtasts: malformed MTA-STS record")
)

// selectRecord finds the record in the TXT RRset at "_mta-sts.". Its errors are
// errTXTNone, errTXTMultiple and errTXTInvalid.
func selectRecord(txts []string) (Record, error) {
	txt, err := tagvalue.Select(txts, recordVersion)
	switch err {
	case nil:
	case tagvalue.ErrSeveral:
		return Record{}, errTXTMultiple
	default:
		return Record{}, errTXTNone
	}
	r, err := ParseRecord(txt)
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", errTXTInvalid, err)
	}
	return r, nil
}
