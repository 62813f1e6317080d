package collect

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	postTimeout   = 30 * time.Second // of one POST, from the lookup of the name to the last byte read
	headerTimeout = 10 * time.Second
	maxReplyBody  = 4 << 10         // R18: what is read of a reply that nobody looks at,
	replyTimeout  = 2 * time.Second // and for how long
)

// errTimeout stands for a time limit of our own. It is not a context's error:
// that one would look like the caller's.
var errTimeout = errors.New("collect: no answer in time")

// PostError is an HTTPS POST that was not accepted.
type PostError struct {
	Host   string // of the rua
	Status int    // of the reply; 0: there was none
	// Reason is a word of the vocabulary of package tlsrpt, such as http-404,
	// redirect, timeout, unknown-authority or non-public-address.
	Reason string
	Err    error // nil where Status says it all
}

// Error is one line of printable ASCII.
func (e *PostError) Error() string { return "collect: POST to " + e.Host + ": " + e.Reason }

func (e *PostError) Unwrap() error { return e.Err }

// poster sends reports over HTTPS (RFC 8460, section 5.4).
type poster struct {
	transport  http.RoundTripper
	unverified http.RoundTripper // for hosts whose certificate is wrong; nil: they get nothing
}

// post offers a gzipped report to a rua once. A certificate that cannot be
// verified is a misconfiguration of the very kind that reports are about, so a
// sender may overlook it (RFC 8460, section 3); a poster does so only if it has
// the means.
func (p *poster) post(ctx context.Context, rua string, body []byte) error {
	u, err := url.Parse(rua)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return &PostError{Host: "an https rua", Reason: tlsrpt.ReasonUnknown, Err: err}
	}
	err = once(ctx, p.transport, u, body)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && p.unverified != nil {
		err = once(ctx, p.unverified, u, body)
	}
	return err
}

// once makes one request. RoundTrip alone is called, so that nothing follows a
// redirect (AMB-40) and no proxy, cookie or cache has a say.
func once(ctx context.Context, transport http.RoundTripper, u *url.URL, body []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, postTimeout, errTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return &PostError{Host: u.Hostname(), Reason: tlsrpt.ReasonUnknown, Err: err}
	}
	// The body is the media type's own compression, not HTTP's: there is no
	// Content-Encoding (RFC 8460, section 5.4).
	req.Header.Set("Content-Type", tlsrpt.MediaType)
	req.Header.Set("User-Agent", "strictmx")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return transportError(ctx, u.Hostname(), err)
	}
	defer resp.Body.Close()
	switch status := resp.StatusCode; {
	case status >= 300 && status < 400:
		return &PostError{Host: u.Hostname(), Status: status, Reason: tlsrpt.ReasonRedirect}
	case status < 200 || status > 299:
		return &PostError{Host: u.Hostname(), Status: status, Reason: tlsrpt.HTTPReason(status)}
	}
	// Read so that the other side can end its reply in peace. Whatever comes of
	// that, the report was accepted.
	defer time.AfterFunc(replyTimeout, cancel).Stop()
	_, _ = io.CopyN(io.Discard, resp.Body, maxReplyBody)
	return nil
}

// transportError says what a failed RoundTrip means, or that the caller gave up.
func transportError(ctx context.Context, host string, err error) error {
	switch cause := context.Cause(ctx); {
	case cause == errTimeout:
		return &PostError{Host: host, Reason: tlsrpt.ReasonTimeout, Err: errTimeout}
	case cause != nil:
		return cause
	}
	return &PostError{Host: host, Reason: postReason(err), Err: err}
}

// postReason is the word for an error of a transport.
func postReason(err error) string {
	if _, ok := errors.AsType[*resolver.NonPublicError](err); ok {
		return tlsrpt.ReasonNonPublicAddress
	}
	if errors.Is(err, resolver.ErrNoAddress) {
		return tlsrpt.ReasonNoAddress
	}
	if _, ok := errors.AsType[*resolver.Error](err); ok {
		return tlsrpt.ReasonDNS
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		failure := tlsrpt.Classify(err)[0]
		if failure.Reason != "" {
			return failure.Reason
		}
		return string(failure.Type) // its words are of the same form
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return tlsrpt.ReasonTimeout
	}
	if oe, ok := errors.AsType[*net.OpError](err); ok && oe.Op != "remote error" && oe.Op != "local error" {
		return tlsrpt.ReasonConnection
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return tlsrpt.ReasonConnection
	}
	if failure := tlsrpt.Classify(err)[0]; failure.Reason != tlsrpt.ReasonUnknown {
		return failure.Reason
	}
	return tlsrpt.ReasonHTTP
}

// AddrResolver looks up the addresses of a name. A *[resolver.Client] or a
// [resolver.Net] fits.
type AddrResolver interface {
	Addr(ctx context.Context, name string) (resolver.Answer[netip.Addr], error)
}

// NewTransport returns the transport that a [Reporter] posts with: no proxy, no
// connection kept, HTTP/1.1 over TLS 1.2 or later, small headers; names looked up
// with r and as absolute names, and connections to public addresses alone, since
// whoever publishes a record chooses them. If r is nil, a zero [resolver.Client]
// is used.
//
// The caller may lift each before the first use. TLSClientConfig is there to be
// extended, by RootCAs for one. To post to hosts of your own network, set
// DialContext to that of a [resolver.Dialer] with AllowPrivate.
func NewTransport(r AddrResolver) *http.Transport {
	if r == nil {
		r = &resolver.Client{}
	}
	dialer := &resolver.Dialer{Resolver: r, Timeout: headerTimeout}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            dialer.DialContext,
		Protocols:              protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    headerTimeout,
		MaxResponseHeaderBytes: 16 << 10,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
}

// unverifying returns a transport like t that takes any certificate.
func unverifying(t *http.Transport) *http.Transport {
	t = t.Clone()
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.TLSClientConfig.InsecureSkipVerify = true
	return t
}
