// Deliver delivers mail under the MTA-STS policies of its recipients, and shows
// the TLS-RPT report of the day that the owner of each domain would get.
//
// Without arguments it starts a world of mail on loopback, delivers one message to
// each of its domains, whose hosts, certificates and policies are good and
// bad in every way, and shows how each fared. No other machine is touched:
//
//	go run ./examples/deliver
//
// With an envelope and a message it delivers for real, through the system's
// resolver and port 25; with -dry-run it connects, and stops before MAIL FROM:
//
//	go run ./examples/deliver -from me@example.org -to you@example.com message.eml
//	go run ./examples/deliver -dry-run -to you@example.com
//
// The code to copy is in deliver.go, and for the reports in reports.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/strictmx/strictmx/outbound"
	"github.com/strictmx/strictmx/tlsrpt"
)

// The exit statuses. Those from 64 on are of sysexits.h.
const (
	exitDone     = 0  // delivered to all; in the demo, every domain fared as it had to
	exitDeferred = 1  // not delivered to some, who may be tried again
	exitRefused  = 2  // refused for good by some; others may be deferred
	exitUsage    = 64 // the command line is wrong; nothing was sent
	exitInput    = 66 // a file cannot be used; nothing was sent
	exitUnable   = 71 // the world of the demo could not be made
	exitOutput   = 74 // what happened could not be printed
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err != nil:
		return fail(stderr, exitUsage, fmt.Errorf("%w (deliver -h explains)", err))
	case o.demo:
		return demo(ctx, o, stdout, stderr)
	}
	n, err := o.network()
	if err != nil {
		return fail(stderr, exitInput, err)
	}
	msg, err := o.message(stdin)
	if err != nil {
		return fail(stderr, exitInput, err)
	}
	s := newSender(n, o.helo, o.timeout)
	defer s.policies.Close()
	receipts := s.deliver(ctx, o, o.from, o.to, msg)
	reports, err := s.show(o, o.submitter(), receipts, stdout, stderr)
	if err != nil {
		return fail(stderr, exitOutput, err)
	}
	line, status := summary(receipts, reports, o.dryRun)
	fmt.Fprintln(stdout, "\n"+line)
	return status
}

// deliver sends, or finds out whether it could.
func (s *sender) deliver(ctx context.Context, o options, from string, to []string, msg []byte) []outbound.Receipt {
	if o.dryRun {
		return s.try(ctx, to)
	}
	return s.send(ctx, from, to, msg)
}

// show prints what became of the message and the reports of it, and what was
// wrong. It returns the reports.
func (s *sender) show(o options, by tlsrpt.Submitter, receipts []outbound.Receipt, stdout, stderr io.Writer) ([]*tlsrpt.Report, error) {
	first := "RECIPIENT"
	if o.demo || o.dryRun {
		first = "DOMAIN"
	}
	if err := printRows(stdout, first, rows(receipts, o.dryRun)); err != nil {
		return nil, err
	}
	reports, errs := s.reports(by, receipts)
	for _, err := range errs {
		fmt.Fprintf(stderr, "deliver: %v\n", err)
	}
	if len(reports) > 0 {
		fmt.Fprintln(stdout)
		if err := printReports(stdout, reports, o.json); err != nil {
			return nil, err
		}
	}
	for _, r := range receipts {
		if r.Err != nil && (o.verbose || !o.demo) {
			explain(stderr, r, o.verbose)
		}
	}
	return reports, nil
}

// explain says what was wrong, and what its owner can do about it.
func explain(w io.Writer, r outbound.Receipt, advice bool) {
	fmt.Fprintf(w, "deliver: %s: %v\n", r.Recipient, r.Err)
	e, ok := errors.AsType[*outbound.Error](r.Err)
	if !ok || !advice {
		return
	}
	for _, o := range e.Outcomes {
		for _, f := range o.Failures {
			fmt.Fprintf(w, "    %s\n", tlsrpt.Advice(f))
		}
	}
}

// summary counts the receipts and the sessions, and chooses the exit status.
func summary(receipts []outbound.Receipt, reports []*tlsrpt.Report, dryRun bool) (string, int) {
	var done, deferred, refused int
	for _, r := range receipts {
		switch {
		case r.Err == nil:
			done++
		case r.Temporary():
			deferred++
		default:
			refused++
		}
	}
	status := exitDone
	switch {
	case refused > 0:
		status = exitRefused
	case deferred > 0:
		status = exitDeferred
	}
	line := fmt.Sprintf("%d of %d delivered, %d deferred, %d refused for good; sessions in reports: %d",
		done, len(receipts), deferred, refused, told(reports))
	if dryRun {
		line = ready(line)
	}
	return line, status
}

func fail(stderr io.Writer, status int, err error) int {
	fmt.Fprintf(stderr, "deliver: %s\n", strings.TrimSpace(err.Error()))
	return status
}
