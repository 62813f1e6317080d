package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/outbound"
	"github.com/strictmx/strictmx/strictmxtest"
)

func TestOneMessageArrivesAndTheOtherIsHeldBack(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	first, second, _ := strings.Cut(out.String(), "fault: stripped STARTTLS\n")
	if first != "fault: none\n  error: <nil>\n  messages that have arrived: 1\n" {
		t.Errorf("without a fault: %s", first)
	}
	for _, want := range []string{"found starttls-not-supported", "policy enforce", "messages that have arrived: 1\n"} {
		if !strings.Contains(second, want) {
			t.Errorf("no %q in %s", want, second)
		}
	}
}

func TestSendFails(t *testing.T) {
	w := strictmxtest.New(t)
	w.Domain("example.com").MX("mx.example.com")
	for _, c := range []struct {
		name   string
		fault  strictmxtest.MXFault
		policy bool // the error is the Enforcer's
	}{
		{"a host that hangs up", strictmxtest.CloseAfterGreeting, true},
		{"a sender refused", strictmxtest.RefuseMAIL(550), false},
		{"a recipient refused", strictmxtest.RefuseRCPT(550), false},
		{"DATA refused", strictmxtest.RefuseDATA(451), false},
		{"the message refused", strictmxtest.RefuseMessage(554), false},
	} {
		w.MX("mx.example.com").Fault(c.fault)
		e := &outbound.Enforcer{LocalName: "mail.sender.example", MTASTS: none{}}
		err := send(t.Context(), e, w.DialContext, "example.com", "mx.example.com", "a@sender.example", "b@example.com", []byte("x"))
		if _, policy := errors.AsType[*outbound.Error](err); err == nil || policy != c.policy {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if n := len(w.MX("mx.example.com").Messages()); n != 0 {
		t.Errorf("%d messages arrived", n)
	}
}

// none is a world without policies.
type none struct{}

func (none) Lookup(context.Context, string) (mtasts.Result, error)  { return mtasts.Result{}, nil }
func (none) Refresh(context.Context, string) (mtasts.Result, error) { return mtasts.Result{}, nil }
