package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/strictmxtest"
)

// outside is a world as another program sees it: through flags.
type outside struct {
	*strictmxtest.World
	flags []string
	eml   string
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	w := strictmxtest.New(t)
	if w.MX("mx.a.example").Addr() != fmt.Sprintf("%s:%d", w.MX("mx.a.example").IP(), w.Port()) {
		t.Skip("this system has one loopback address: no port is common to all MX hosts; run this where 127.0.0.0/8 is loopback, as on Linux")
	}
	dir := t.TempDir()
	o := &outside{World: w, eml: filepath.Join(dir, "message.eml")}
	roots := filepath.Join(dir, "roots.pem")
	for name, content := range map[string][]byte{o.eml: []byte("Subject: x\n\nHello.\n"), roots: w.RootsPEM()} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.flags = []string{
		"-dns", w.DNS.Addr(), "-port", strconv.Itoa(w.Port()), "-roots", roots,
		"-policy-host", w.PolicyHost.Addr(), "-allow-private", "-helo", "mail.sender.example",
	}
	w.Domain("a.example").MX("mx.a.example").Policy(strictmxtest.PolicyText("enforce", "mx.a.example"))
	w.Domain("b.example").MX("mx.b.example").Policy(strictmxtest.PolicyText("enforce", "mx.b.example"))
	w.MX("mx.b.example").Certificate(strictmxtest.Expired)
	w.Domain("c.example").MX("mx.c.example")
	w.MX("mx.c.example").Refuse("nobody@c.example", 550)
	return o
}

func (o *outside) args(more ...string) []string { return append(slices.Clone(o.flags), more...) }

func TestRealDeliveries(t *testing.T) {
	const from = "alice@sender.example"
	for _, c := range []struct {
		name   string
		to     []string
		status int
		rows   map[string]string // recipient: outcome
		says   string            // on stderr
	}{
		{"all delivered", []string{"-to", "x@a.example,y@a.example", "-to", "z@c.example"}, exitDone, map[string]string{
			"x@a.example": "delivered, verified", "y@a.example": "delivered, verified", "z@c.example": "delivered, verified",
		}, ""},
		{"some deferred", []string{"-to", "x@a.example, x@b.example"}, exitDeferred, map[string]string{
			"x@a.example": "delivered, verified", "x@b.example": "deferred 451 4.7.5",
		}, "deliver: x@b.example: outbound: b.example via mx.b.example: 451 4.7.5: found certificate-expired"},
		{"one refused for good", []string{"-to", "x@b.example", "-to", "nobody@c.example"}, exitRefused, map[string]string{
			"x@b.example": "deferred 451 4.7.5", "nobody@c.example": "refused 550 5.1.1",
		}, "deliver: nobody@c.example: outbound: c.example via mx.c.example: 550"},
		{"nobody to connect to", []string{"-to", "x@[192.0.2.1],x@1.2.3.4"}, exitRefused, map[string]string{
			"x@[192.0.2.1]": "deferred 451 4.4.1", "x@1.2.3.4": "refused 550 5.1.2",
		}, "no mail domain"},
		{"an address that outbound refuses loses no other", []string{"-to", "x@a.example", "-to", "<x@a.example"}, exitRefused, map[string]string{
			"x@a.example": "delivered, verified", "<x@a.example": "refused 553 5.1.3",
		}, "deliver: <x@a.example: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOutside(t)
			args := append(o.args("-from", from), c.to...)
			status, stdout, stderr := deliver(t, "", append(args, o.eml)...)
			if status != c.status || !strings.Contains(stderr, c.says) || (stderr == "") != (c.says == "") {
				t.Errorf("status %d, stderr %s", status, stderr)
			}
			got := table(stdout)
			delete(got, "RECIPIENT")
			for to, outcome := range c.rows {
				if row := got[to]; len(row) != 3 || row[2] != outcome {
					t.Errorf("%s: %q, want %q", to, row, outcome)
				}
			}
			if len(got) != len(c.rows) {
				t.Errorf("rows %q", got)
			}
			if n := len(o.MX("mx.b.example").Messages()); n != 0 {
				t.Errorf("%d messages at a host with an expired certificate", n)
			}
		})
	}
}

func TestAMessageFromStandardInputGoesOutWhole(t *testing.T) {
	o := newOutside(t)
	status, stdout, stderr := deliver(t, "Subject: x\n\n.\nHello.", o.args("-from", "", "-to", "x@a.example", "-")...)
	got := o.MX("mx.a.example").Messages()
	if status != exitDone || len(got) != 1 {
		t.Fatalf("status %d, %d messages; %s%s", status, len(got), stdout, stderr)
	}
	if m := got[0]; m.From != "" || m.Data != "Subject: x\r\n\r\n.\r\nHello.\r\n" || m.TLS == nil || m.HELO != "mail.sender.example" {
		t.Errorf("got %+v", m)
	}
	if !strings.HasSuffix(stdout, "\n\n1 of 1 delivered, 0 deferred, 0 refused for good; sessions in reports: 1\n") {
		t.Error(stdout)
	}
}

func TestADryRunStopsBeforeMAIL(t *testing.T) {
	o := newOutside(t)
	status, stdout, stderr := deliver(t, "", o.args("-dry-run", "-to", "x@a.example,y@A.example,x@b.example")...)
	if status != exitDeferred || !strings.Contains(stderr, "found certificate-expired") {
		t.Errorf("status %d, %s", status, stderr)
	}
	got := table(stdout)
	if len(got) != 3 || got["a.example"][2] != "ready, verified" || got["b.example"][2] != "deferred 451 4.7.5" {
		t.Errorf("table %q", got)
	}
	var commands []string
	for _, s := range o.MX("mx.a.example").Sessions() {
		commands = append(commands, s.Commands...)
	}
	if want := []string{"EHLO mail.sender.example", "STARTTLS", "EHLO mail.sender.example", "QUIT"}; !slices.Equal(commands, want) {
		t.Errorf("commands %q", commands)
	}
}

func TestADryRunGoesOnToTheNextHost(t *testing.T) {
	o := newOutside(t)
	o.Domain("d.example").MX("mx1.d.example", "mx2.d.example")
	o.MX("mx1.d.example").Fault(strictmxtest.DropAfterHandshake)
	status, stdout, stderr := deliver(t, "", o.args("-dry-run", "-to", "x@d.example")...)
	if row := table(stdout)["d.example"]; status != exitDone || row[1] != "mx2.d.example" {
		t.Errorf("status %d, %q, %s", status, row, stderr)
	}
	o.MX("mx2.d.example").Fault(strictmxtest.DropAfterHandshake)
	status, stdout, stderr = deliver(t, "", o.args("-dry-run", "-to", "x@d.example")...)
	if row := table(stdout)["d.example"]; status != exitDeferred || !strings.HasPrefix(row[2], "deferred 451 4.4.2") {
		t.Errorf("status %d, %q, %s", status, row, stderr)
	}
}

// R19: an address that is not public is not connected to unless the user says so.
func TestPrivateAddressesWantAFlag(t *testing.T) {
	o := newOutside(t)
	o.flags = slices.DeleteFunc(o.flags, func(f string) bool { return f == "-allow-private" })
	status, stdout, stderr := deliver(t, "", o.args("-from", "", "-to", "x@a.example", o.eml)...)
	if status != exitDeferred || o.MX("mx.a.example").Connections() != 0 {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
}

func TestPolicyHostsAreFoundByName(t *testing.T) {
	o := newOutside(t)
	i := slices.Index(o.flags, "-policy-host")
	o.flags = slices.Delete(o.flags, i, i+2) // where port 443 is closed
	_, stdout, _ := deliver(t, "", o.args("-from", "", "-to", "x@a.example", o.eml)...)
	row, reports := table(stdout)["x@a.example"], reported(stdout)
	if row[0] != "failed" || !slices.Equal(reports, []string{"a.example sts 0 1 sts-policy-fetch-error (connection)"}) {
		t.Errorf("row %q, reports %q", row, reports)
	}
}

func TestAnInterruptDefers(t *testing.T) {
	o := newOutside(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	status := run(ctx, o.args("-from", "", "-to", "x@a.example", o.eml), strings.NewReader(""), &out, &errs)
	if status != exitDeferred || !strings.Contains(out.String(), "0 of 1 delivered, 1 deferred") {
		t.Errorf("status %d\n%s%s", status, &out, &errs)
	}
}
