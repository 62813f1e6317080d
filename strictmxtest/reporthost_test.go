package strictmxtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/strictmx/strictmx/strictmxtest"
)

// post posts to an address of the world, and returns the status.
func post(t *testing.T, w *strictmxtest.World, url, body string, timeout time.Duration) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/tlsrpt+gzip")
	resp, err := w.Transport().RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	return resp.StatusCode, nil
}

func TestAReportHostKeepsWhatIsPostedToIt(t *testing.T) {
	w := strictmxtest.New(t)
	h := w.ReportHost("Reports.Example.NET")
	if h != w.ReportHost("reports.example.net") || h.Name() != "reports.example.net" || h.URL() != "https://reports.example.net/tlsrpt" {
		t.Errorf("%s at %s", h.Name(), h.URL())
	}
	body := strings.Repeat("report", 1<<16)
	if status, err := post(t, w, "https://reports.example.net/any/path?a=b", body, time.Minute); status != 200 {
		t.Fatal(status, err)
	}
	p := h.Posts()
	if len(p) != 1 || p[0].Method != "POST" || p[0].URI != "/any/path?a=b" || p[0].Host != h.Name() || string(p[0].Body) != body || !p[0].Taken() ||
		p[0].Header.Get("Content-Type") != "application/tlsrpt+gzip" || p[0].TLS.ServerName != h.Name() || time.Since(p[0].Time) > time.Minute {
		t.Errorf("%d posts", len(p))
	}
	resp, err := (&http.Client{Transport: w.Transport()}).Get(h.URL())
	if err != nil || resp.StatusCode != http.StatusMethodNotAllowed || h.Posts()[1].Taken() {
		t.Errorf("GET: %v, %v", resp, err)
	}
	resp.Body.Close()
	if h.Connections() != 2 {
		t.Errorf("%d connections", h.Connections())
	}
	w.Forget()
	if len(h.Posts()) != 0 || h.Connections() != 0 {
		t.Error("not forgotten")
	}
}

func TestFaultsOfAReportHost(t *testing.T) {
	w := strictmxtest.New(t)
	h := w.ReportHost("reports.example.net")
	for _, c := range []struct {
		fault  strictmxtest.PolicyFault
		status int // 0: an error
		read   bool
	}{
		{strictmxtest.Unreachable, 0, false},
		{strictmxtest.NotTLS, 0, false},
		{strictmxtest.HangInHandshake, 0, false},
		{strictmxtest.CloseInHandshake, 0, false},
		{strictmxtest.HangBeforeHeader, 0, true},
		{strictmxtest.CloseBeforeHeader, 0, true},
		{strictmxtest.Status(503), 503, true},
		{strictmxtest.Status(202), 202, true},
		{strictmxtest.Redirect(307), 307, true},
		{strictmxtest.None, 200, true},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			timeout := time.Minute
			if c.fault == strictmxtest.HangInHandshake || c.fault == strictmxtest.HangBeforeHeader {
				timeout = 200 * time.Millisecond
			}
			before := len(h.Posts())
			status, err := post(t, w, h.Fault(c.fault).URL(), "report", timeout)
			if status != c.status || (err != nil) != (status == 0) {
				t.Errorf("status %d, %v", status, err)
			}
			posts := h.Posts()[before:]
			if (len(posts) == 1) != c.read || c.read && (string(posts[0].Body) != "report" || posts[0].Status != c.status || posts[0].Taken() != (c.status/100 == 2)) {
				t.Errorf("posts %+v", posts)
			}
		})
	}
	h.Certificate(strictmxtest.Expired)
	if _, err := post(t, w, h.URL(), "report", time.Minute); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("an expired certificate: %v", err)
	}
	w.Close()
	if _, err := post(t, w, h.URL(), "report", time.Minute); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after Close: %v", err)
	}
}

func TestATLSRPTRecordComesAndGoes(t *testing.T) {
	w := strictmxtest.New(t)
	d := w.Domain("example.com").TLSRPT("mailto:tls@example.com", "https://reports.example.net/tlsrpt")
	want := func(want ...string) {
		t.Helper()
		got, err := w.Resolver().TXT(t.Context(), "_smtp._tls.example.com")
		if err != nil || strings.Join(got.Records, "|") != strings.Join(want, "|") {
			t.Errorf("%q, %v, want %q", got.Records, err, want)
		}
	}
	want("v=TLSRPTv1; rua=mailto:tls@example.com,https://reports.example.net/tlsrpt")
	long := "mailto:" + strings.Repeat("x", 300) + "%2C@example.com"
	d.TLSRPT(long)
	want("v=TLSRPTv1; rua=" + long)
	d.TLSRPT()
	want()
}
