package collect

import (
	"context"
	"errors"
	"time"
)

// tryEvery is how often a daemon that is busy or away is tried.
const tryEvery = time.Millisecond

// errFull means that the daemon does not read what it has.
var errFull = errors.New("the queue of the daemon's socket is full: it reads nothing")

// outbox is a socket on which one Run sends to the daemon.
type outbox interface {
	// send offers a datagram to the kernel, once or more, and always at least once:
	// no clock can keep it from that. It returns errFull after tryEvery.
	send(b []byte) error
	Close() error
}

// send sends one datagram within Timeout. However slow this machine is, and however
// short Timeout, a daemon that is busy or away is tried twice.
func (w *sender) send(ctx context.Context, b []byte) error {
	deadline := time.Now().Add(w.d.timeout)
	for again := false; ; again = true {
		err := w.out.send(b)
		if err == nil || err != errFull && !isAway(err) || ctx.Err() != nil || again && !time.Now().Before(deadline) {
			return err
		}
		if err == errFull {
			continue // it has waited
		}
		select {
		case <-time.After(tryEvery):
		case <-ctx.Done():
		}
	}
}
