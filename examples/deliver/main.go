// Deliver delivers mail under the MTA-STS policies of its recipients, and shows
// what TLS-RPT would tell about each session.
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
// The code to copy is in deliver.go.
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
	if err := s.report(o, s.rows(receipts, o.dryRun), receipts, stdout, stderr); err != nil {
		return fail(stderr, exitOutput, err)
	}
	line, status := summary(receipts, len(s.events.all()), o.dryRun)
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

// report prints the table and the events, and what was wrong.
func (s *sender) report(o options, rows []row, receipts []outbound.Receipt, stdout, stderr io.Writer) error {
	first := "RECIPIENT"
	if o.demo || o.dryRun {
		first = "DOMAIN"
	}
	if err := printTable(stdout, first, rows); err != nil {
		return err
	}
	if events := s.events.all(); len(events) > 0 {
		fmt.Fprintln(stdout)
		if err := printEvents(stdout, events); err != nil {
			return err
		}
	}
	for _, r := range receipts {
		if r.Err != nil && (o.verbose || !o.demo) {
			explain(stderr, r, o.verbose)
		}
	}
	return nil
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

// summary counts the receipts, and chooses the exit status.
func summary(receipts []outbound.Receipt, events int, dryRun bool) (string, int) {
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
	line := fmt.Sprintf("%d of %d delivered, %d deferred, %d refused for good; sessions to report: %d",
		done, len(receipts), deferred, refused, events)
	if dryRun {
		line = ready(line)
	}
	return line, status
}

func fail(stderr io.Writer, status int, err error) int {
	fmt.Fprintf(stderr, "deliver: %s\n", strings.TrimSpace(err.Error()))
	return status
}
