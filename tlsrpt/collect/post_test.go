package collect

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
)

// loopback is a resolver for which every name is this machine.
type loopback struct{}

func (loopback) Addr(context.Context, string) (resolver.Answer[netip.Addr], error) {
	return resolver.Answer[netip.Addr]{Records: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, nil
}

var quiet = log.New(io.Discard, "", 0)

// receiver is a server for reports on a real socket, with a certificate for
// example.com.
func receiver(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = quiet
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

// transportTo is the default transport, allowed to reach a server on loopback.
func transportTo(srv *httptest.Server) *http.Transport {
	t := NewTransport(loopback{})
	t.DialContext = (&resolver.Dialer{Resolver: loopback{}, AllowPrivate: true}).DialContext
	t.TLSClientConfig.RootCAs = x509.NewCertPool()
	t.TLSClientConfig.RootCAs.AddCert(srv.Certificate())
	return t
}

// ruaOf is a destination of a server, under a name of its certificate.
func ruaOf(srv *httptest.Server, host, path string) string {
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	return "https://" + host + ":" + port + path
}

var gzipped = []byte("\x1f\x8b a report") // the receivers here do not look inside

func TestPostIsTheReportItself(t *testing.T) {
	var got *http.Request
	var body []byte
	srv := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
	})
	p := poster{transport: transportTo(srv)}
	if err := p.post(t.Context(), ruaOf(srv, "example.com", "/v1/reports?domain=x"), gzipped); err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodPost || got.RequestURI != "/v1/reports?domain=x" || !bytes.Equal(body, gzipped) { // RPT-93, RPT-109
		t.Errorf("%s %s with %q", got.Method, got.RequestURI, body)
	}
	if ct := got.Header.Get("Content-Type"); ct != "application/tlsrpt+gzip" { // RPT-110
		t.Errorf("Content-Type %q", ct)
	}
	if enc, ok := got.Header["Content-Encoding"]; ok { // RPT-110
		t.Errorf("Content-Encoding %q on top of the media type's own", enc)
	}
	if got.ContentLength != int64(len(gzipped)) || got.TLS == nil || got.TLS.Version < tls.VersionTLS12 || got.ProtoMajor != 1 {
		t.Errorf("length %d, TLS %v, %s", got.ContentLength, got.TLS, got.Proto)
	}
}

// RPT-112, AMB-40: a successful status is success, and everything else is not.
func TestPostStatus(t *testing.T) {
	for _, c := range []struct {
		status int
		reason string // "": accepted
	}{
		{200, ""}, {201, ""}, {202, ""}, {204, ""}, {299, ""},
		{301, "redirect"}, {302, "redirect"}, {303, "redirect"}, {307, "redirect"}, {308, "redirect"}, {304, "redirect"},
		{400, "http-400"}, {404, "http-404"}, {413, "http-413"}, {429, "http-429"}, {500, "http-500"}, {503, "http-503"},
	} {
		t.Run(http.StatusText(c.status), func(t *testing.T) {
			var requests atomic.Int32
			srv := receiver(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				if r.URL.Path == "/elsewhere" {
					return // a follower would be pleased
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
			})
			p := poster{transport: transportTo(srv)}
			err := p.post(t.Context(), ruaOf(srv, "example.com", "/"), gzipped)
			e, _ := errors.AsType[*PostError](err)
			if (err == nil) != (c.reason == "") || err != nil && (e == nil || e.Reason != c.reason || e.Status != c.status) {
				t.Errorf("error %v, want reason %q", err, c.reason)
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

// R18: of a reply that nobody looks at, next to nothing is read.
func TestPostToAServerThatNeverStopsTalking(t *testing.T) {
	ended := make(chan int64, 1)
	srv := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		var n int64
		for chunk := make([]byte, 32<<10); ; {
			m, err := w.Write(chunk)
			if n += int64(m); err != nil || n > 1<<30 {
				ended <- n
				return
			}
		}
	})
	p := poster{transport: transportTo(srv)}
	if err := p.post(t.Context(), ruaOf(srv, "example.com", "/"), gzipped); err != nil {
		t.Errorf("%v; the status said yes", err)
	}
	if n := <-ended; n > 64<<20 { // what buffers hold on the way, and no more
		t.Errorf("the server got rid of %d bytes", n)
	}
}

// RPT-111, AMB-39: by default a host that cannot prove who it is gets nothing.
func TestPostAndCertificates(t *testing.T) {
	for _, c := range []struct {
		name, host string
		trusted    bool
		unverified bool
		reason     string
	}{
		{name: "a certificate of a CA that is trusted", host: "example.com", trusted: true},
		{name: "a certificate that vouches for itself", host: "example.com", reason: tlsrpt.ReasonSelfSigned},
		{name: "another name", host: "reports.test", trusted: true, reason: string(tlsrpt.CertificateHostMismatch)},
		{name: "a certificate that vouches for itself, overlooked", host: "example.com", unverified: true},
		{name: "another name, overlooked", host: "reports.test", trusted: true, unverified: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var requests atomic.Int32
			srv := receiver(t, func(http.ResponseWriter, *http.Request) { requests.Add(1) })
			tr := transportTo(srv)
			if !c.trusted {
				tr.TLSClientConfig.RootCAs = x509.NewCertPool()
			}
			p := poster{transport: tr}
			if c.unverified {
				p.unverified = unverifying(tr)
			}
			err := p.post(t.Context(), ruaOf(srv, c.host, "/"), gzipped)
			if e, _ := errors.AsType[*PostError](err); c.reason == "" && err != nil || c.reason != "" && (e == nil || e.Reason != c.reason) {
				t.Errorf("error %v, want reason %q", err, c.reason)
			}
			if n := requests.Load(); (n == 1) != (c.reason == "") {
				t.Errorf("%d requests were read", n)
			}
		})
	}
}

// Only a certificate is overlooked: a host that is down, or that speaks old TLS,
// is not asked a second time.
func TestPostOverlooksCertificatesAlone(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request over TLS 1.1") }))
	srv.Config.ErrorLog = quiet
	srv.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	srv.StartTLS()
	defer srv.Close()
	tr := transportTo(srv)
	var dials atomic.Int32
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return dial(ctx, network, address)
	}
	p := poster{transport: tr, unverified: unverifying(tr)}
	for reason, rua := range map[string]string{
		"tls-alert-protocol-version": ruaOf(srv, "example.com", "/"),
		tlsrpt.ReasonConnection:      "https://example.com:1/",
	} {
		before := dials.Load()
		err := p.post(t.Context(), rua, gzipped)
		if e, _ := errors.AsType[*PostError](err); e == nil || e.Reason != reason {
			t.Errorf("error %v, want reason %q", err, reason)
		}
		if n := dials.Load() - before; n != 1 {
			t.Errorf("%s: %d connections, want 1", reason, n)
		}
	}
}

// R18, R19, RPT-22: whoever publishes a record cannot aim reports at our own network.
func TestPostReachesPublicAddressesAlone(t *testing.T) {
	srv := receiver(t, func(http.ResponseWriter, *http.Request) { t.Error("a request to loopback") })
	p := poster{transport: NewTransport(loopback{})}
	p.unverified = unverifying(p.transport.(*http.Transport))
	for _, rua := range []string{ruaOf(srv, "example.com", "/"), ruaOf(srv, "127.0.0.1", "/"), ruaOf(srv, "[::ffff:127.0.0.1]", "/")} {
		err := p.post(t.Context(), rua, gzipped)
		if e, _ := errors.AsType[*PostError](err); e == nil || e.Reason != tlsrpt.ReasonNonPublicAddress {
			t.Errorf("%s: error %v, want %s", rua, err, tlsrpt.ReasonNonPublicAddress)
		}
	}
}

// roundTrip is a function as a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
