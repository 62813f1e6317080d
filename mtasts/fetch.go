package mtasts

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	headerTimeout = 10 * time.Second // R10
	getTimeout    = 30 * time.Second // in all; below the minute of RFC 8461, section 3.3
)

// errTimeout stands for a time limit of our own. It is not a context's error:
// that one would look like the caller's (R34).
var errTimeout = errors.New("mtasts: no complete answer in time")

// fetchError is a failed GET, before it is known for which domain.
type fetchError struct {
	Type   tlsrpt.ResultType
	Reason string
	Err    error
}

func (e *fetchError) Error() string { return string(e.Type) + ": " + e.Reason }

func failed(reason string) *fetchError {
	return &fetchError{Type: tlsrpt.STSPolicyFetchError, Reason: reason}
}

// getText performs the one GET that may yield a policy (RFC 8461, section 3.3).
// A *turnError says that none was made.
func (c *Client) getText(name string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(c.ctx, getTimeout, errTimeout)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	headers := time.AfterFunc(headerTimeout, func() { stop(errTimeout) })
	defer headers.Stop()

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://mta-sts."+name+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return "", &fetchError{Type: tlsrpt.STSPolicyFetchError, Reason: tlsrpt.ReasonUnknown, Err: err}
	}
	// Said out loud, so that no transport asks for gzip by itself and hides what
	// comes back (STS-56).
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "strictmx")
	resp, err := c.http.RoundTrip(req)
	if err != nil {
		return "", transportError(ctx, err)
	}
	defer resp.Body.Close()
	headers.Stop()
	if err := checkResponse(resp); err != nil {
		return "", err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPolicyBytes+1))
	switch {
	case err != nil: // a body that broke off was never fetched (RPT-41)
		return "", transportError(ctx, err)
	case len(body) > maxPolicyBytes: // a failure, never a shorter policy (STS-48)
		return "", failed(tlsrpt.ReasonTooLarge)
	}
	return string(body), nil
}

// checkResponse accepts the status 200, the media type text/plain with any
// parameters, and nothing that was encoded (RFC 8461, sections 3.2 and 3.3).
func checkResponse(resp *http.Response) error {
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified:
		return failed(tlsrpt.ReasonRedirect)
	case resp.StatusCode != http.StatusOK:
		return failed(tlsrpt.HTTPReason(resp.StatusCode))
	}
	// Not mime.ParseMediaType, which refuses the whole for an odd parameter (STS-46).
	mediaType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if !dnsname.EqualFold(strings.Trim(mediaType, " \t"), "text/plain") {
		return failed(tlsrpt.ReasonContentType)
	}
	// A body that ends where the connection does ends where an attacker cuts it:
	// crypto/tls takes a cut between two records for a proper end.
	if resp.ProtoMajor == 1 && resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 {
		return failed(tlsrpt.ReasonNoLength)
	}
	if enc := resp.Header.Get("Content-Encoding"); resp.Uncompressed || enc != "" && !dnsname.EqualFold(enc, "identity") {
		return failed(tlsrpt.ReasonContentEncoding)
	}
	return nil
}

// transportError says what a failed RoundTrip or a body that broke off means.
func transportError(ctx context.Context, err error) error {
	if turn := onlyTurns(err); turn != nil {
		return turn
	}
	e := &fetchError{Type: tlsrpt.STSPolicyFetchError, Err: err}
	switch cause := context.Cause(ctx); {
	case cause == errTimeout:
		e.Reason, e.Err = tlsrpt.ReasonTimeout, errTimeout
	case cause != nil:
		return cause
	default:
		e.Type, e.Reason = classify(err)
	}
	return e
}

// classify names the failure of a GET (conformance of RFC 8460, section 4.3.2.2).
func classify(err error) (tlsrpt.ResultType, string) {
	if _, ok := errors.AsType[*resolver.NonPublicError](err); ok {
		return tlsrpt.STSPolicyFetchError, tlsrpt.ReasonNonPublicAddress
	}
	if _, ok := errors.AsType[*resolver.Error](err); ok {
		return tlsrpt.STSPolicyFetchError, tlsrpt.ReasonDNS
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return tlsrpt.STSPolicyFetchError, tlsrpt.ReasonDNS
	}
	if errors.Is(err, resolver.ErrNoAddress) {
		return tlsrpt.STSPolicyFetchError, tlsrpt.ReasonNoAddress
	}
	failures := tlsrpt.Classify(err)
	for _, f := range failures {
		if reason, ok := webPKIReason(f); ok {
			return tlsrpt.STSWebPKIInvalid, reason
		}
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return tlsrpt.STSPolicyFetchError, tlsrpt.ReasonTimeout
	}
	if oe, ok := errors.AsType[*net.OpError](err); ok && oe.Op != "remote error" && oe.Op != "local error" {
		return tlsrpt.STSPolicyFetchError, tlsrpt.ReasonConnection
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return tlsrpt.STSPolicyFetchError, tlsrpt.ReasonConnection
	}
	for _, f := range failures {
		if f.Reason != "" && f.Reason != tlsrpt.ReasonUnknown {
			return tlsrpt.STSPolicyFetchError, f.Reason
		}
	}
	return tlsrpt.STSPolicyFetchError, tlsrpt.ReasonHTTP
}

// webPKIReason is the reason for a failure that is one of the certificate,
// which is what authenticates the policy host; what its type says moves into
// the reason, as the type becomes sts-webpki-invalid.
func webPKIReason(f tlsrpt.Failure) (string, bool) {
	switch f.Type {
	case tlsrpt.CertificateExpired:
		return cmp.Or(f.Reason, tlsrpt.ReasonExpired), true
	case tlsrpt.CertificateHostMismatch:
		return cmp.Or(f.Reason, tlsrpt.ReasonHostMismatch), true
	case tlsrpt.CertificateNotTrusted:
		return cmp.Or(f.Reason, tlsrpt.ReasonInvalidChain), true
	}
	return "", false
}

// AddrResolver looks up the addresses of a name. A *[resolver.Client] or a
// [resolver.Net] fits.
type AddrResolver interface {
	Addr(ctx context.Context, name string) (resolver.Answer[netip.Addr], error)
}

// NewTransport returns the transport that a [Client] fetches policies with: no
// proxy, no connection kept, no compression, HTTP/1.1 over TLS 1.2 or later, small
// headers; names looked up with r and as absolute names, connections to public
// addresses alone, and to one address at most 20 a second after a burst of 200.
// If r is nil, a zero [resolver.Client] is used.
//
// The caller may lift each before the first use. TLSClientConfig is there to be
// extended, by RootCAs for one. What concerns addresses is in DialContext; to fetch
// from hosts of your own network, set it to that of a [resolver.Dialer] with
// AllowPrivate.
func NewTransport(r AddrResolver) *http.Transport {
	if r == nil {
		r = &resolver.Client{}
	}
	turns := newTurns()
	dialer := &resolver.Dialer{Resolver: r, Timeout: headerTimeout, Dial: turns.dial}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            dialer.DialContext,
		Protocols:              protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    headerTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: 16 << 10,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
}
