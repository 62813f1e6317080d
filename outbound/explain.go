package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strings"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/internal/publicaddr"
	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/resolver"
)

// own is an error in our own words, which need no quotes.
type own string

func (e own) Error() string { return string(e) }

// because is an error that says in our own words what failed, and why.
type because struct {
	what string
	err  error
}

func (e because) Error() string { return e.what + ": " + explain(e.err) }
func (e because) Unwrap() error { return e.err }

// explain is the text of a cause within one of our lines. The errors of this
// module are in clean words and bounded, and are shown whole, without the name of
// their package. Everybody else's words are quoted, and cut (R16).
func explain(err error) string {
	switch e := err.(type) {
	case own, because:
		return e.Error()
	case *mtasts.CertificateError: // of the host that the line is about
		text := strings.TrimPrefix(e.Error(), "mtasts: ")
		return strings.TrimPrefix(text, "certificate of "+e.Host+": ")
	case *mtasts.Error:
		return strings.TrimPrefix(e.Error(), "mtasts: ")
	case *resolver.Error, *resolver.NonPublicError:
		return strings.TrimPrefix(e.Error(), "resolver: ")
	case *textproto.Error: // an SMTP reply
		return fmt.Sprintf("%d %s", e.Code, quote(e.Msg))
	}
	switch err {
	case dnsname.ErrInvalid, dnsname.ErrAddress:
		return err.Error()
	case mtasts.ErrBusy, mtasts.ErrClosed:
		return strings.TrimPrefix(err.Error(), "mtasts: ")
	case io.EOF, io.ErrUnexpectedEOF:
		return "the host hung up"
	case context.DeadlineExceeded:
		return "time ran out"
	case context.Canceled:
		return "the caller gave up"
	}
	if e, ok := errors.AsType[*publicaddr.Error](err); ok { // package net has put its own words around it
		return e.Error()
	}
	return quote(err.Error())
}
