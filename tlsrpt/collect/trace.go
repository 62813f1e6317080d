package collect

import (
	"errors"
	"time"
)

// Why a report, or one of its destinations, was given up, beside the errors of
// Send, of DNS and of the POST ([PostError]).
var (
	// ErrStale: look for what kept the Reporter from working; the day was more
	// than two days over (RFC 8460, section 5.5), or lay far in the future by a
	// clock that was wrong.
	ErrStale = errors.New("collect: the day is too far from today to be reported")
	// ErrNotConnected: nothing to do. No session of the day got an answer from any
	// host, and whoever answers for a domain that does not exist must not be able
	// to have mail sent about it. [Tally] says what counts as an answer.
	ErrNotConnected = errors.New("collect: no host of the domain was ever spoken to")
	// ErrUnwanted: nothing to do. DNS did not answer when the sessions took
	// place, and now says that the domain wants no reports.
	ErrUnwanted = errors.New("collect: the domain asks for no reports")
	// ErrSuppressed: nothing to do, or find another way to tell the owner that
	// mail to this address bounces; see [Reporter.Suppress].
	ErrSuppressed = errors.New("collect: mail to the address bounced lately")
	// ErrOverCap: if the destination collects for many domains by their own
	// will, let [Reporter.Unlimited] say so.
	ErrOverCap = errors.New("collect: the destination has had its reports of the day")
	// ErrNoSend: set [Reporter.Send] to have reports mailed.
	ErrNoSend = errors.New("collect: there is no Send func to mail the report with")
)

// Trace is a set of hooks, for metrics and logs of the caller's own. Any may be
// nil. They are called from several goroutines at once and must not block for
// long: the next report waits for them.
type Trace struct {
	// Delivered: a destination accepted a report. It happens once at most for
	// each.
	Delivered func(Delivery)
	// Failed: an attempt failed, and the next one is to be made at about next.
	Failed func(d Delivery, err error, next time.Time)
	// GaveUp: no more attempts are made for a destination. Err says why: one of
	// the errors above, or what became of the last attempt. A Delivery without
	// RUA stands for the whole report, which then never came to a destination.
	GaveUp func(d Delivery, err error)
	// RecordChanged: the TLS-RPT record that a domain has now names other
	// destinations, or none, than the one it had when the sessions took place. Those
	// of both get the report, so that nobody who can forge DNS for a moment can keep
	// it from its owner.
	RecordChanged func(domain string, day time.Time, was, now []string)
}

// Delivery is a report on its way to one destination.
type Delivery struct {
	Domain string
	Day    time.Time // its first moment, in UTC
	RUA    string    // "mailto:..." or "https://..."
	// ID is the report's; "" where there is no report yet.
	ID string
	// Attempt counts from 1; 0 where none was made.
	Attempt int
	// Sessions is how many the report tells of.
	Sessions int64
}
