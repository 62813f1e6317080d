package collect

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// In these tests somebody owns attacker.test, with as many names below it as they
// like, and publishes records that harm the reports of others.

// attack publishes records of the attacker, and counts a session with each name.
func (d *desk) attack(n int, rua func(i int) []string) {
	for i := range n {
		domain := fmt.Sprintf("a%d.attacker.test", i)
		d.publish(domain, rua(i)...)
		d.sessions(1, domain)
	}
}

// neighbours are n domains with one owner each, and one destination for all.
func (d *desk) neighbours(n int, rua string) {
	for i := range n {
		domain := fmt.Sprintf("d%d.test", i)
		d.publish(domain, rua)
		d.sessions(1, domain)
	}
}

// served counts the domains of neighbours that a destination accepted a report of.
func (d *desk) served() (n int) {
	for _, s := range d.got() {
		if !strings.Contains(s.about(), "attacker") {
			n++
		}
	}
	return n
}

// R17: a path that a vendor answers with 503, published by one of its customers,
// does not keep the reports of the others from it.
func TestAPathThatFailsHoldsNobodyBack(t *testing.T) {
	for _, code := range []int{429, 500, 503} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				d.faults["vendor.test"] = func(r *http.Request) (*http.Response, error) {
					if strings.HasPrefix(r.URL.Path, "/fails") {
						return &http.Response{StatusCode: code}, nil
					}
					return &http.Response{StatusCode: 200}, nil
				}
				d.attack(200, func(i int) []string {
					return []string{"https://vendor.test/fails?1", "https://vendor.test/fails?2", "https://vendor.test/fails?3"}
				})
				d.neighbours(50, "https://vendor.test/")
				defer d.run()()
				until("2000-01-02T04:31:00Z")
				if n := d.served(); n != 50 {
					t.Errorf("%d of 50 reports arrived in time", n)
				}
				until("2000-01-04T01:00:00Z")
				if rs := d.balance(); rs.Delivered != (Count{50, 50}) || rs.GivenUp != (Count{200, 200}) {
					t.Errorf("stats %+v", rs)
				}
			})
		})
	}
}

// A host that others could not reach for a day has every report offered once
// before it is given up.
func TestEveryReportIsOfferedOnce(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.faults["vendor.test"] = func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return nil, errors.New("refused")
		}
		d.neighbours(200, "https://vendor.test/")
		defer d.run()()
		until("2000-01-04T00:00:00Z")
		offered := make(map[string]bool)
		for _, s := range d.offered() {
			offered[s.about()] = true
		}
		if rs := d.balance(); len(offered) != 200 || rs.GivenUp != (Count{200, 200}) || rs.Attempts > 1000 {
			t.Errorf("%d of 200 reports were offered, stats %+v", len(offered), rs)
		}
	})
}
