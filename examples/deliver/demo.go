package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/strictmxtest"
	"github.com/strictmx/strictmx/tlsrpt"
)

// The demo is a world on loopback with a domain for each thing that may happen,
// and one message that goes to all of them.

const (
	sendersName = "mail.sender.example"
	sendersMail = "alice@sender.example"
	demoMessage = "From: Alice <alice@sender.example>\nSubject: Hello\n\nHello, Bob.\n"
)

// scenario is one domain of the demo: what is there, how a message must fare, and
// what its report must say, in short.
type scenario struct {
	want   row
	report []string
	// before makes the domain; it has an MX host "mx.<domain>" and no policy.
	before func(*world, *domain, *host)
	// after, where there is one, changes it once its policy was looked up.
	after func(*world, *domain, *host)
}

type (
	world  = strictmxtest.World
	domain = strictmxtest.Domain
	host   = strictmxtest.MX
)

// policy publishes a policy that names the domain's own MX host.
func policy(d *domain, mode string) *domain {
	return d.Policy(strictmxtest.PolicyText(mode, "mx."+d.Name()))
}

// badCertificate is an enforced policy, and a host that cannot prove its name.
func badCertificate(c strictmxtest.Certificate) func(*world, *domain, *host) {
	return func(_ *world, d *domain, mx *host) {
		policy(d, "enforce")
		mx.Certificate(c)
	}
}

// scenarios in the order of the table.
func scenarios() []scenario {
	return []scenario{{
		want:   row{"valid.example", "enforce", "mx.valid.example", "delivered, verified"},
		report: []string{"sts 1 0"},
		before: func(_ *world, d *domain, _ *host) { policy(d, "enforce") },
	}, {
		want:   row{"forged-mx.example", "enforce", "mx.attacker.example", "deferred 451 4.7.5"},
		report: []string{"sts 0 1 validation-failure (sts-mx-mismatch)"},
		before: func(_ *world, d *domain, _ *host) {
			policy(d, "enforce").MX("mx.attacker.example") // with a certificate as good as any
		},
	}, {
		want:   row{"stripped.example", "enforce", "mx.stripped.example", "deferred 451 4.7.5"},
		report: []string{"sts 0 1 starttls-not-supported"},
		before: func(_ *world, d *domain, mx *host) {
			policy(d, "enforce")
			mx.Fault(strictmxtest.NoSTARTTLS)
		},
	}, {
		want:   row{"expired.example", "enforce", "mx.expired.example", "deferred 451 4.7.5"},
		report: []string{"sts 0 1 certificate-expired"},
		before: badCertificate(strictmxtest.Expired),
	}, {
		want:   row{"misnamed.example", "enforce", "mx.misnamed.example", "deferred 451 4.7.5"},
		report: []string{"sts 0 1 certificate-host-mismatch"},
		before: badCertificate(strictmxtest.Misnamed),
	}, {
		want:   row{"untrusted.example", "enforce", "mx.untrusted.example", "deferred 451 4.7.5"},
		report: []string{"sts 0 1 certificate-not-trusted (unknown-authority)"},
		before: badCertificate(strictmxtest.UnknownCA),
	}, {
		want:   row{"testing.example", "testing", "mx.testing.example", "delivered, encrypted"},
		report: []string{"sts 0 1 certificate-not-trusted (self-signed)"},
		before: func(_ *world, d *domain, mx *host) {
			policy(d, "testing")
			mx.Certificate(strictmxtest.SelfSigned)
		},
	}, {
		want:   row{"none.example", "none", "mx.none.example", "delivered in clear"},
		report: []string{"no-policy-found 0 1 starttls-not-supported"},
		before: func(_ *world, d *domain, mx *host) {
			policy(d, "none")
			mx.Fault(strictmxtest.NoSTARTTLS)
		},
	}, {
		want:   row{"absent.example", "absent", "mx.absent.example", "delivered, verified"},
		report: []string{"no-policy-found 1 0"},
		before: func(*world, *domain, *host) {},
	}, {
		want:   row{"unreached.example", "failed", "mx.unreached.example", "delivered, verified"},
		report: []string{"sts 0 1 sts-policy-fetch-error (connection)"},
		before: func(_ *world, d *domain, _ *host) { policy(d, "enforce").Fault(strictmxtest.Unreachable) },
	}, {
		want:   row{"cached.example", "enforce", "mx.cached.example", "delivered, verified"},
		report: []string{"sts 1 0"},
		before: func(_ *world, d *domain, _ *host) { policy(d, "enforce") },
		after:  func(_ *world, d *domain, _ *host) { d.Fault(strictmxtest.Unreachable) },
	}, {
		want:   row{"corrected.example", "enforce", "mx.corrected.example", "delivered, verified"},
		report: []string{"sts 1 0", "sts 0 1 validation-failure (sts-mx-mismatch)"},
		before: func(_ *world, d *domain, _ *host) { d.Policy(strictmxtest.PolicyText("enforce", "mx.old.example")) },
		after:  func(_ *world, d *domain, _ *host) { policy(d, "enforce") },
	}, {
		want:   row{"null-mx.example", "absent", "-", "refused 556 5.1.10"},
		before: func(w *world, d *domain, _ *host) { w.DNS.Set(d.Name() + ". MX 0 .") },
	}}
}

// prepare makes the domain of a scenario. Where something changes after the
// policy was first seen, it is looked up before.
func prepare(ctx context.Context, w *world, policies *mtasts.Client, c scenario) error {
	name := c.want.to
	d, mx := w.Domain(name).MX("mx."+name), w.MX("mx."+name)
	c.before(w, d, mx)
	if c.after == nil {
		return nil
	}
	if _, err := policies.Lookup(ctx, name); err != nil {
		return err
	}
	c.after(w, d, mx)
	return nil
}

// demo delivers to every domain of a world of its own, and checks that each fared
// as it had to.
func demo(ctx context.Context, o options, stdout, stderr io.Writer) int {
	w, err := strictmxtest.Start()
	if err != nil {
		return fail(stderr, exitUnable, err)
	}
	defer w.Close()
	s := newSender(network{
		resolver: w.Resolver(), transport: w.Transport(), dial: w.DialContext, roots: w.Roots(),
	}, sendersName, o.timeout)
	defer s.policies.Close()

	all := scenarios()
	var to []string
	for _, c := range all {
		if err := prepare(ctx, w, s.policies, c); err != nil {
			return fail(stderr, exitUnable, err)
		}
		to = append(to, "bob@"+c.want.to)
	}
	receipts := s.deliver(ctx, o, sendersMail, to, []byte(demoMessage))
	for i := range receipts { // a domain says more than its only mailbox
		receipts[i].Recipient = all[i].want.to
	}
	o.from = sendersMail
	reports, err := s.show(o, o.submitter(), receipts, stdout, stderr)
	if err != nil {
		return fail(stderr, exitOutput, err)
	}
	unexpected := 0
	rows, said := rows(receipts, o.dryRun), inShort(reports)
	for i, c := range all {
		wrong := check(w, c.want, rows[i], o.dryRun)
		if got := said[c.want.to]; wrong == "" && !slices.Equal(got, c.report) {
			wrong = fmt.Sprintf("the report says %q, want %q", got, c.report)
		}
		if wrong != "" {
			fmt.Fprintf(stderr, "deliver: %s: %s\n", c.want.to, wrong)
			unexpected++
		}
	}
	line, _ := summary(receipts, reports, o.dryRun)
	if unexpected > 0 {
		fmt.Fprintf(stdout, "\n%s; %d did not fare as they had to\n", line, unexpected)
		return exitDeferred
	}
	fmt.Fprintf(stdout, "\n%s; each domain fared as it had to\n", line)
	return exitDone
}

// inShort is what the report on each domain says.
func inShort(reports []*tlsrpt.Report) map[string][]string {
	said := make(map[string][]string)
	for _, r := range reports {
		for _, line := range short(r) {
			said[r.Domain] = append(said[r.Domain], strings.TrimSpace(strings.Join(line[1:], " ")))
		}
	}
	return said
}

// check says what is wrong with a row, by what was wanted and by what the host
// itself knows of the message.
func check(w *world, want, got row, dryRun bool) string {
	if dryRun {
		want.outcome = ready(want.outcome)
	}
	if got != want {
		return fmt.Sprintf("got %v, want %v", got, want)
	}
	arrived := 0
	if want.host != "-" {
		arrived = len(w.MX(want.host).Messages())
	}
	switch delivered := strings.HasPrefix(want.outcome, "delivered"); {
	case delivered && arrived != 1, !delivered && arrived != 0:
		return fmt.Sprintf("%d messages arrived at %s", arrived, want.host)
	}
	return ""
}
