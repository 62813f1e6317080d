package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/strictmx/strictmx/outbound"
	"github.com/strictmx/strictmx/strictmxtest"
	"github.com/strictmx/strictmx/tlsrpt/collect"
)

// start returns the server in its world, and the world.
func start(t *testing.T) (*strictmxtest.World, *mailServer) {
	t.Helper()
	world := strictmxtest.New(t)
	key, record, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	populate(world, record)
	return world, newMailServer(networkOf(world), key)
}

// RPT-30, RPT-107, RPT-108: the certificate of the host has expired and the policy is
// enforced, so no mail goes there but the report, which is not counted.
func TestAReportGoesWhereOtherMailDoesNot(t *testing.T) {
	world, s := start(t)
	ctx := hurry(t.Context(), s)
	letter := outbound.Envelope{From: "alice@" + submitter, To: []string{"bob@" + owner}}
	if receipt := s.dialer.SendMail(t.Context(), letter, []byte("Subject: hello\r\n\r\nHello.\r\n"))[0]; !receipt.Temporary() {
		t.Errorf("other mail: %d %s, %v; want it to wait", receipt.Code, receipt.Text, receipt.Err)
	}
	seen := s.collector.Stats().Seen
	if seen == 0 {
		t.Error("the Collector has not heard of the letter")
	}
	if err := reportYesterday(ctx, s); err != nil {
		t.Fatal(err)
	}
	messages := world.MX(host).Messages()
	if len(messages) != 1 || messages[0].From != "" || strings.Join(messages[0].To, " ") != recipient || messages[0].TLS == nil {
		t.Errorf("arrived: %+v", messages)
	}
	if got := s.collector.Stats().Seen - seen; got != 2000 {
		t.Errorf("the Collector has heard of %d sessions, want the 2000 of yesterday", got)
	}
	if got, want := s.reporter.Stats().Delivered, (collect.Count{Reports: 1, Sessions: 2000}); got != want {
		t.Errorf("delivered %+v, want %+v", got, want)
	}
	if _, err := s.policies.Lookup(t.Context(), owner); err == nil {
		t.Error("after run the policies are not closed")
	}
}

// An address that is refused for good gets no mail for a while, others do.
func TestAReportThatIsNotTaken(t *testing.T) {
	for _, c := range []struct {
		name string
		code int
		then error // of the next report for the address
	}{
		{"a mailbox that is full may have room again", 452, nil},
		{"one that does not exist is left alone", 550, collect.ErrSuppressed},
	} {
		t.Run(c.name, func(t *testing.T) {
			world, s := start(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			ctx = hurry(ctx, s)
			world.MX(host).Certificate(strictmxtest.Good).Refuse(recipient, c.code)
			err := s.sendReport(t.Context(), collect.Mail{To: recipient, Message: unsigned(t)})
			if e, ok := errors.AsType[*outbound.Error](err); !ok || e.Code != c.code {
				t.Fatalf("got %v, want a refusal with %d", err, c.code)
			}
			world.MX(host).Refuse(recipient, 0)
			if err := reportYesterday(ctx, s); !errors.Is(err, c.then) {
				t.Errorf("the next report: %v, want %v", err, c.then)
			}
			if got := len(world.MX(host).Messages()); (got == 1) != (c.then == nil) {
				t.Errorf("%d mails arrived", got)
			}
		})
	}
}

func TestRunEndsAtOnceWhereSomethingIsWrong(t *testing.T) {
	_, s := start(t)
	s.reporter.Submitter.Organization = ""
	if err := s.run(context.Background()); err == nil || !strings.Contains(err.Error(), "Submitter") {
		t.Errorf("got %v, want what to correct", err)
	}
}
