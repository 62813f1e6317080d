package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// verify does what a receiver of reports must: the signature is valid, is the
// submitter's, and covers both of the headers. The verifier itself refuses a
// signature with "l=" (RFC 8460, section 3). It returns the names of the headers
// that are covered.
func verify(message []byte, lookupTXT func(name string) ([]string, error)) (covered []string, err error) {
	found, err := dkim.VerifyWithOptions(bytes.NewReader(message), &dkim.VerifyOptions{LookupTXT: lookupTXT})
	switch {
	case err != nil:
		return nil, err
	case len(found) != 1:
		return nil, fmt.Errorf("the mail has %d signatures, not one", len(found))
	case found[0].Err != nil:
		return nil, found[0].Err
	case found[0].Domain != submitter:
		return nil, errors.New("the signature is another domain's")
	}
	for _, name := range []string{"TLS-Report-Domain", "TLS-Report-Submitter"} {
		if !slices.ContainsFunc(found[0].HeaderKeys, func(key string) bool { return strings.EqualFold(key, name) }) {
			return nil, errors.New("the signature does not cover " + name)
		}
	}
	return found[0].HeaderKeys, nil
}
