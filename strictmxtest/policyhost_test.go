package strictmxtest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/strictmx/strictmx/strictmxtest"
)

const policyURL = "https://mta-sts.example.com/.well-known/mta-sts.txt"

var policy = strictmxtest.PolicyText("enforce", "mx.example.com")

// fetched is what a plain client of net/http made of a GET.
type fetched struct {
	status int
	header http.Header
	body   string
	err    error // of RoundTrip or of reading the body
}

// fetch gets an URL, giving up after wait or 2 MiB.
func fetch(t *testing.T, tr http.RoundTripper, url string, wait time.Duration) fetched {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	return fetchUnder(t, ctx, tr, url)
}

// fetchAfter gives up some time after ready says so: however slow the machine
// is, what comes before is not cut short.
func fetchAfter(t *testing.T, tr http.RoundTripper, url string, wait time.Duration, ready func() bool) fetched {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for !ready() && ctx.Err() == nil {
			<-tick.C
		}
		select {
		case <-time.After(wait):
			cancel()
		case <-ctx.Done():
		}
	}()
	return fetchUnder(t, ctx, tr, url)
}

func fetchUnder(t *testing.T, ctx context.Context, tr http.RoundTripper, url string) fetched {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return fetched{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 2<<20))
	return fetched{resp.StatusCode, resp.Header, string(body), err}
}

// Each row says what a plain client sees; a fault without a row fails.
func TestPolicyFaults(t *testing.T) {
	rows := map[strictmxtest.PolicyFault]func(t *testing.T, w *strictmxtest.World, got fetched){
		strictmxtest.TLS11Only: func(t *testing.T, w *strictmxtest.World, got fetched) {
			if !says(got.err, "protocol version not supported") {
				t.Errorf("a client of today: %v", got.err)
			}
			tr := w.Transport()
			tr.TLSClientConfig.MinVersion = tls.VersionTLS10
			got = fetch(t, tr, policyURL, patience)
			if r := w.PolicyHost.Requests(); got.body != policy || r[0].TLS.Version != tls.VersionTLS11 {
				t.Errorf("a client of yesterday: %+v, %v", got, r)
			}
		},
		strictmxtest.Unreachable: func(t *testing.T, w *strictmxtest.World, got fetched) {
			if !errors.Is(got.err, syscall.ECONNREFUSED) {
				t.Error(got.err)
			}
		},
		strictmxtest.NotTLS: func(t *testing.T, w *strictmxtest.World, got fetched) {
			if e, ok := errors.AsType[tls.RecordHeaderError](got.err); !ok || string(e.RecordHeader[:]) != "HTTP/" {
				t.Error(got.err)
			}
		},
		strictmxtest.HangInHandshake: silent(0),
		strictmxtest.CloseInHandshake: func(t *testing.T, w *strictmxtest.World, got fetched) {
			if !errors.Is(got.err, io.EOF) {
				t.Error(got.err)
			}
		},
		strictmxtest.HangBeforeHeader: silent(1),
		strictmxtest.CloseBeforeHeader: func(t *testing.T, w *strictmxtest.World, got fetched) {
			if !errors.Is(got.err, io.EOF) || len(w.PolicyHost.Requests()) != 1 {
				t.Error(got.err)
			}
		},
		strictmxtest.GarbageReply: func(t *testing.T, w *strictmxtest.World, got fetched) {
			if !says(got.err, "malformed HTTP") {
				t.Error(got.err)
			}
		},
		strictmxtest.SlowHeader: silent(1),
		strictmxtest.HugeHeader: func(t *testing.T, w *strictmxtest.World, got fetched) {
			if len(got.header.Get("X-Padding")) != 1<<20 || got.body != policy {
				t.Errorf("%d octets, %v", len(got.header.Get("X-Padding")), got.err)
			}
		},
		strictmxtest.HTMLType: typed("text/html"),
		strictmxtest.NoType:   typed(""),
		strictmxtest.OddType:  typed("TEXT/Plain ; charset=utf-8; charset=x; format=flowed"),
		strictmxtest.SlowBody: func(t *testing.T, w *strictmxtest.World, got fetched) {
			if got.status != 200 || !errors.Is(got.err, context.Canceled) || len(got.body) >= len(policy) {
				t.Errorf("%+v", got)
			}
		},
		strictmxtest.FullSize: sized(65536),
		strictmxtest.Oversize: sized(65537),
		strictmxtest.EndlessBody: func(t *testing.T, w *strictmxtest.World, got fetched) {
			if len(got.body) != 2<<20 || !strings.HasPrefix(got.body, policy) || got.header.Get("Content-Length") != "" {
				t.Errorf("%d octets, %v", len(got.body), got.err)
			}
		},
		strictmxtest.ResetInBody: func(t *testing.T, w *strictmxtest.World, got fetched) {
			if got.status != 200 || !errors.Is(got.err, syscall.ECONNRESET) {
				t.Errorf("%d, %v", got.status, got.err)
			}
		},
		strictmxtest.ShortBody: func(t *testing.T, w *strictmxtest.World, got fetched) {
			if got.status != 200 || got.body != policy || !errors.Is(got.err, io.ErrUnexpectedEOF) {
				t.Errorf("%+v", got)
			}
		},
		strictmxtest.CutBody: func(t *testing.T, w *strictmxtest.World, got fetched) {
			if got.status != 200 || got.body != policy[:len(policy)/2] || got.header.Get("Content-Length") != "" || got.err != nil {
				t.Errorf("%+v", got)
			}
		},
		strictmxtest.Gzipped: func(t *testing.T, w *strictmxtest.World, got fetched) {
			if text := unzipped(t, got); text != policy {
				t.Errorf("%q", text)
			}
		},
		strictmxtest.GzipBomb: func(t *testing.T, w *strictmxtest.World, got fetched) {
			if text := unzipped(t, got); len(got.body) > 8192 || len(text) != 1<<20 || !strings.HasPrefix(text, policy) {
				t.Errorf("%d octets unpack to %d", len(got.body), len(text))
			}
		},
	}
	for _, code := range []int{201, 202, 203, 206, 400, 401, 403, 404, 410, 429, 500, 502, 503} {
		rows[strictmxtest.Status(code)] = answered(code, policy)
	}
	rows[strictmxtest.Status(204)] = answered(204, "")
	rows[strictmxtest.Status(304)] = answered(304, "")
	for _, code := range []int{301, 302, 303, 307, 308} {
		rows[strictmxtest.Redirect(code)] = func(t *testing.T, w *strictmxtest.World, got fetched) {
			answered(code, policy)(t, w, got)
			if w.Domain("example.com").Redirected() != 0 {
				t.Error("a visit is counted that was none")
			}
			got = fetch(t, w.Transport(), got.header.Get("Location"), patience)
			if got.status != 200 || got.body != policy || w.Domain("example.com").Redirected() != 1 {
				t.Errorf("who follows gets %+v", got)
			}
		}
	}
	for _, f := range strictmxtest.PolicyFaults() {
		t.Run(f.String(), func(t *testing.T) {
			row, ok := rows[f]
			if !ok {
				t.Fatal("nobody says what this fault does on the wire")
			}
			w := strictmxtest.New(t)
			d := w.Domain("example.com").Policy(policy).Fault(f)
			w.Domain("other.example").Policy("another text")
			tr := w.Transport()
			tr.MaxResponseHeaderBytes = 2 << 20
			asked := func() bool { return len(d.Requests()) > 0 }
			var got fetched
			switch f {
			case strictmxtest.HangInHandshake:
				got = fetchAfter(t, tr, policyURL, silence, func() bool { return d.Connections() > 0 })
			case strictmxtest.HangBeforeHeader, strictmxtest.SlowHeader:
				got = fetchAfter(t, tr, policyURL, silence, asked)
			case strictmxtest.SlowBody:
				got = fetchAfter(t, tr, policyURL, 10*silence, asked) // a few bytes
			default:
				got = fetch(t, tr, policyURL, patience)
			}
			row(t, w, got)
			if got := fetch(t, w.Transport(), "https://mta-sts.other.example/.well-known/mta-sts.txt", patience); got.body != "another text" {
				t.Errorf("another domain suffers: %+v", got)
			}
			d.Fault(strictmxtest.None)
			if got := fetch(t, w.Transport(), policyURL, patience); got.status != 200 || got.body != policy || got.err != nil {
				t.Errorf("lifted: %+v", got)
			}
		})
	}
}

func says(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }

// silent: a client runs out of patience, after so many requests.
func silent(requests int) func(*testing.T, *strictmxtest.World, fetched) {
	return func(t *testing.T, w *strictmxtest.World, got fetched) {
		t.Helper()
		if !errors.Is(got.err, context.Canceled) || got.status != 0 {
			t.Errorf("%+v", got)
		}
		if c, r := w.Domain("example.com").Connections(), len(w.PolicyHost.Requests()); c != 1 || r != requests {
			t.Errorf("%d connections, %d requests", c, r)
		}
	}
}

func typed(want string) func(*testing.T, *strictmxtest.World, fetched) {
	return func(t *testing.T, w *strictmxtest.World, got fetched) {
		t.Helper()
		if got.header.Get("Content-Type") != want || got.status != 200 || got.body != policy {
			t.Errorf("%+v", got)
		}
		if _, has := got.header["Content-Type"]; has != (want != "") {
			t.Errorf("%v", got.header)
		}
	}
}

func sized(n int) func(*testing.T, *strictmxtest.World, fetched) {
	return func(t *testing.T, w *strictmxtest.World, got fetched) {
		t.Helper()
		if len(got.body) != n || !strings.HasPrefix(got.body, policy) || got.err != nil {
			t.Errorf("%d octets, %v", len(got.body), got.err)
		}
	}
}

func answered(code int, body string) func(*testing.T, *strictmxtest.World, fetched) {
	return func(t *testing.T, w *strictmxtest.World, got fetched) {
		t.Helper()
		if got.status != code || got.body != body || got.err != nil {
			t.Errorf("%+v", got)
		}
	}
}

func unzipped(t *testing.T, got fetched) string {
	t.Helper()
	if got.header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%+v", got)
	}
	z, err := gzip.NewReader(strings.NewReader(got.body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTextAndIDChangeApart(t *testing.T) {
	w := strictmxtest.New(t)
	d := w.Domain("example.com")
	see := func() string {
		t.Helper()
		got := fetch(t, w.Transport(), policyURL, patience)
		m := ask(t, w, "_mta-sts.example.com", "TXT")
		txt := "none"
		if len(m.Answer) > 0 {
			_, txt, _ = strings.Cut(m.Answer[0].String(), "TXT\t")
		}
		switch {
		case got.err != nil:
			return txt + " " + "error"
		case got.status != 200:
			return txt + " " + "missing"
		}
		return txt + " " + got.body
	}
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"a new domain has nothing, not even a policy host", func() {}, `none error`},
		{"a policy comes with a record", func() { d.Policy("one") }, `"v=STSv1; id=id1;" one`},
		{"the text alone", func() { d.PolicyText("two") }, `"v=STSv1; id=id1;" two`},
		{"the id alone", func() { d.PolicyID("x") }, `"v=STSv1; id=x;" two`},
		{"another policy has another id", func() { d.Policy("three") }, `"v=STSv1; id=id2;" three`},
		{"without the record", func() { d.RemoveRecord() }, `none three`},
		{"without the text", func() { d.Policy("four").RemoveText() }, `"v=STSv1; id=id3;" missing`},
	} {
		step.do()
		if got := see(); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	if w.Domain("other.example").Policy("x"); !strings.Contains(shown(ask(t, w, "_mta-sts.other.example", "TXT")), "id4") {
		t.Error("two domains share an id")
	}
}

func TestAPolicyHostMayBeDelegated(t *testing.T) {
	w := strictmxtest.New(t)
	w.Domain("prov.test").Policy("of the provider")
	w.DNS.Set("mta-sts.example.com. CNAME mta-sts.prov.test.")
	d := w.Domain("example.com").Policy("of the domain")
	if got := fetch(t, w.Transport(), policyURL, patience); got.body != "of the domain" {
		t.Errorf("%+v", got)
	}
	d.Present(w.Issue(strictmxtest.Good, "mta-sts.prov.test")) // STS-40
	if got := fetch(t, w.Transport(), policyURL, patience); !says(got.err, "mta-sts.prov.test, not mta-sts.example.com") {
		t.Errorf("%+v", got)
	}
	d.Certificate(strictmxtest.Wildcard)
	if got := fetch(t, w.Transport(), policyURL, patience); got.body != "of the domain" {
		t.Errorf("%+v", got)
	}
}

func TestRequestsAreRecorded(t *testing.T) {
	w := strictmxtest.New(t)
	d := w.Domain("example.com").Policy(policy).Header("Cache-Control", "max-age=86400").Header("Content-Type", "text/x").Header("X-Not", "")
	req, err := http.NewRequest(http.MethodGet, policyURL+"?x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("If-None-Match", "tag")
	resp, err := w.Transport().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("another path: %s", resp.Status)
	}
	got := fetch(t, w.Transport(), policyURL, patience)
	if got.header.Get("Cache-Control") != "max-age=86400" || len(got.header["Content-Type"]) != 1 || got.header.Get("Content-Type") != "text/x" {
		t.Errorf("header %v", got.header)
	}
	r := d.Requests()
	if len(r) != 2 || !slices.EqualFunc(r, w.PolicyHost.Requests(), func(a, b strictmxtest.Request) bool { return a.Raw == b.Raw }) {
		t.Fatalf("%d requests", len(r))
	}
	a := r[0]
	if a.Domain != "example.com" || a.Method != "GET" || a.URI != "/.well-known/mta-sts.txt?x" || a.Host != "mta-sts.example.com" ||
		a.Proto != "HTTP/1.1" || a.TLS.ServerName != "mta-sts.example.com" || a.Header.Get("If-None-Match") != "tag" || len(a.ALPN) != 0 ||
		!strings.HasPrefix(a.Raw, "GET /.well-known/mta-sts.txt?x HTTP/1.1\r\n") || !strings.HasSuffix(a.Raw, "\r\n\r\n") {
		t.Errorf("%+v", a)
	}
	if strings.Contains(a.Raw, "Accept-Encoding: gzip") {
		t.Error("the transport asks for compression")
	}
	if got := get(w, "https://mta-sts.unknown.example/.well-known/mta-sts.txt"); !strings.Contains(got, "no such host") {
		t.Error(got)
	}
	w.DNS.Set("mta-sts.unknown.example. CNAME mta-sts.example.com.")
	if got := get(w, "https://mta-sts.unknown.example/.well-known/mta-sts.txt"); !strings.Contains(got, "unrecognized name") {
		t.Error(got)
	}
}

func TestConnectionsAtOnceAreCounted(t *testing.T) {
	w := strictmxtest.New(t)
	w.Domain("example.com").Policy(policy).Fault(strictmxtest.HangBeforeHeader)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 7 {
		wg.Go(func() {
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, policyURL, nil)
			if _, err := w.Transport().RoundTrip(req); err == nil {
				t.Error("an answer came")
			}
		})
	}
	eventually(t, func() bool { return len(w.PolicyHost.Requests()) == 7 })
	if open := w.PolicyHost.Open(); open != 7 {
		t.Errorf("%d open, want 7", open)
	}
	cancel()
	wg.Wait()
	eventually(t, func() bool { return w.PolicyHost.Open() == 0 })
	fetch(t, w.Transport(), "https://mta-sts.example.com/x", patience)
	if most, total := w.PolicyHost.MaxOpen(), w.PolicyHost.Connections(); most != 7 || total != 8 {
		t.Errorf("at most %d at once of %d, want 7 of 8", most, total)
	}
}

func TestTheTransportUsesNoProxy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("HTTPS_PROXY", "http://"+l.Addr().String())
	w := strictmxtest.New(t)
	w.Domain("example.com").Policy(policy)
	if got := fetch(t, w.Transport(), policyURL, patience); got.body != policy {
		t.Errorf("%+v", got)
	}
	var head bytes.Buffer
	head.WriteString(w.PolicyHost.Requests()[0].Raw)
	if !strings.Contains(head.String(), "Connection: close") {
		t.Errorf("the transport keeps connections: %q", head.String())
	}
}

func BenchmarkGET(b *testing.B) {
	w := strictmxtest.New(b)
	w.Domain("example.com").Policy(policy)
	tr := w.Transport()
	b.ReportAllocs()
	for b.Loop() {
		req, _ := http.NewRequest(http.MethodGet, policyURL, nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		w.Forget()
	}
}
