package collect

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
)

func TestPostToWhatIsNoURI(t *testing.T) {
	p := poster{transport: roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("a request")
		return nil, io.EOF
	})}
	for _, rua := range []string{"", "http://example.com/", "mailto:tls@example.com", "https://", "https:///path", "https://example.com/%zz", "\x00"} {
		if err := p.post(t.Context(), rua, gzipped); err == nil {
			t.Errorf("%q was posted to", rua)
		}
	}
}

// The words for what can go wrong on the way, from real sockets and from a
// transport that says so.
func TestPostReasons(t *testing.T) {
	timeout := &net.OpError{Op: "read", Err: context.DeadlineExceeded}
	for _, c := range []struct {
		err  error
		want string
	}{
		{&resolver.Error{}, tlsrpt.ReasonDNS},
		{resolver.ErrNoAddress, tlsrpt.ReasonNoAddress},
		{&resolver.NonPublicError{}, tlsrpt.ReasonNonPublicAddress},
		{timeout, tlsrpt.ReasonTimeout},
		{io.ErrUnexpectedEOF, tlsrpt.ReasonConnection},
		{&net.OpError{Op: "write", Err: errors.New("broken pipe")}, tlsrpt.ReasonConnection},
		{tls.RecordHeaderError{}, tlsrpt.ReasonNotTLS},
		{errors.New("malformed HTTP response \"\x1b[2Jhello\""), tlsrpt.ReasonHTTP},
	} {
		p := poster{transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, c.err })}
		err := p.post(t.Context(), "https://reports.test/", gzipped)
		e, _ := errors.AsType[*PostError](err)
		if e == nil || e.Reason != c.want || !errors.Is(err, c.err) {
			t.Errorf("%v: %v, want reason %s", c.err, err, c.want)
		}
		if text := err.Error(); len(text) > 512 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) { // R16
			t.Errorf("error text %q", text)
		}
	}
}

func TestPostTakesHalfAMinuteAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		start := time.Now()
		err := (&poster{transport: silent}).post(t.Context(), "https://reports.test/", gzipped)
		if e, _ := errors.AsType[*PostError](err); e == nil || e.Reason != tlsrpt.ReasonTimeout || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want a timeout of our own", err)
		}
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("took %v", took)
		}

		// Whoever says yes and then goes on for ever has said yes.
		drip := roundTrip(func(r *http.Request) (*http.Response, error) {
			body := &slowBody{r.Context()}
			return &http.Response{StatusCode: 200, Body: body}, nil
		})
		start = time.Now()
		if err := (&poster{transport: drip}).post(t.Context(), "https://reports.test/", gzipped); err != nil {
			t.Errorf("error %v for a report that was accepted", err)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("took %v", took)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = (&poster{transport: silent}).post(ctx, "https://reports.test/", gzipped)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the caller's", err)
		}
	})
}

// slowBody gives a byte each second while there is time.
type slowBody struct{ ctx context.Context }

func (b *slowBody) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = '.'
		return 1, nil
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}

func (*slowBody) Close() error { return nil }
