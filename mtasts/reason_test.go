package mtasts_test

import (
	"testing"

	"github.com/strictmx/strictmx/internal/publicaddr"
	"github.com/strictmx/strictmx/tlsrpt"
)

// Two packages that do not know each other use one word.
func TestTheReasonForAddressesIsOne(t *testing.T) {
	if publicaddr.Reason != tlsrpt.ReasonNonPublicAddress {
		t.Errorf("publicaddr says %q, tlsrpt %q", publicaddr.Reason, tlsrpt.ReasonNonPublicAddress)
	}
}
