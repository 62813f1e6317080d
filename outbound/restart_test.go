package outbound

import (
	"path/filepath"
	"testing"

	"github.com/strictmx/strictmx/cache"
	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/strictmxtest"
)

// STS-101: an attacker who waits for a restart, and then hides the policy and
// spoils TLS, gets no mail in clear.
func TestAPolicyHoldsAfterARestart(t *testing.T) {
	w := strictmxtest.New(t)
	d := w.Domain("example.com").MX("mx.example.com").Policy(strictmxtest.PolicyText("enforce", "mx.example.com"))
	m := w.MX("mx.example.com")
	path := filepath.Join(t.TempDir(), "store")
	deliver := func() Receipt {
		dir := &cache.Dir{Path: path, Worth: mtasts.Worth}
		defer dir.Close()
		client := &mtasts.Client{Resolver: w.Resolver(), Transport: w.Transport(), Store: dir}
		defer client.Close()
		dialer := realDialer(t, w, &events{})
		dialer.Enforcer.MTASTS = client
		return dialer.SendMail(t.Context(), letter("b@example.com"), hello)[0]
	}
	if r := deliver(); r.Err != nil || r.Level != Verified {
		t.Fatalf("%s: %v", show(r), r.Err)
	}
	d.RemoveRecord().RemoveText()
	m.Fault(strictmxtest.NoSTARTTLS)
	for range 2 {
		if r := deliver(); r.Err == nil || !r.Temporary() {
			t.Errorf("%s: %v", show(r), r.Err)
		}
	}
	if n := len(m.Messages()); n != 1 {
		t.Errorf("%d messages were sent", n)
	}
	m.Fault(0)
	if r := deliver(); r.Err != nil || r.Level != Verified {
		t.Errorf("%s: %v", show(r), r.Err)
	}
}
