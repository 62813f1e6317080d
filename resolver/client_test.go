package resolver

import (
	"context"
	"testing"
	"time"
)

const soa = "example.test. 900 IN SOA ns.example.test. hostmaster.example.test. 1 2 3 4 300"

// STS-13: the character-strings of one record are joined without a separator.
func TestTXTJoinsCharacterStrings(t *testing.T) {
	s := startServer(t, zone(t, `_mta-sts.example.test. 60 IN TXT "v=STSv1; i" "d=abc"`))
	c := &Client{Servers: []string{s.addr}}
	a, err := c.TXT(context.Background(), "_mta-sts.Example.test.")
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Records) != 1 || a.Records[0] != "v=STSv1; id=abc" {
		t.Errorf("Records = %q", a.Records)
	}
	if a.TTL != time.Minute { // STS-33
		t.Errorf("TTL = %v, want 1m", a.TTL)
	}
}
