package strictmxtest_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"net/smtp"
	"strings"

	"github.com/strictmx/strictmx/strictmxtest"
)

// A client delivers a message through TLS, then meets the same host with
// STARTTLS stripped.
func Example() {
	w, err := strictmxtest.Start() // in a test: w := strictmxtest.New(t)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	mx := w.MX("mx1.example.com")

	deliver := func() error {
		conn, err := w.DialContext(context.Background(), "tcp", "mx1.example.com:25")
		if err != nil {
			return err
		}
		c, err := smtp.NewClient(conn, "mx1.example.com")
		if err != nil {
			return err
		}
		defer c.Close()
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return fmt.Errorf("%s offers no STARTTLS", mx.Name())
		}
		if err := c.StartTLS(&tls.Config{ServerName: "mx1.example.com", RootCAs: w.Roots()}); err != nil {
			return err
		}
		if err := c.Mail("alice@sender.example"); err != nil {
			return err
		}
		if err := c.Rcpt("bob@example.com"); err != nil {
			return err
		}
		data, err := c.Data()
		if err != nil {
			return err
		}
		fmt.Fprint(data, "Subject: Hello\r\n\r\nHello, Bob.\r\n")
		return data.Close()
	}

	fmt.Println(deliver())
	for _, m := range mx.Messages() {
		fmt.Printf("%s -> %s, SNI %s\n", m.From, m.To[0], m.TLS.ServerName)
	}
	mx.Fault(strictmxtest.StrippedSTARTTLS)
	fmt.Println(deliver())
	// Output:
	// <nil>
	// alice@sender.example -> bob@example.com, SNI mx1.example.com
	// mx1.example.com offers no STARTTLS
}

// A domain publishes a policy, and a transport of the world fetches it.
func ExampleDomain() {
	w, err := strictmxtest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	w.Domain("example.com").
		MX("mx1.example.com").
		Policy(strictmxtest.PolicyText("enforce", "mx1.example.com"))

	ctx := context.Background()
	records, err := w.NetResolver().LookupTXT(ctx, "_mta-sts.example.com.")
	fmt.Println(records, err)
	fmt.Println(get(w, "https://mta-sts.example.com/.well-known/mta-sts.txt"))

	w.Domain("example.com").Fault(strictmxtest.Status(503))
	fmt.Println(get(w, "https://mta-sts.example.com/.well-known/mta-sts.txt"))
	fmt.Println(len(w.Domain("example.com").Requests()), "requests")
	// Output:
	// [v=STSv1; id=id1;] <nil>
	// 200 OK text/plain
	// 503 Service Unavailable text/plain
	// 2 requests
}

// A domain asks for TLS reports by HTTPS, and gets one.
func ExampleReportHost() {
	w, err := strictmxtest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	receiver := w.ReportHost("reports.example.net")
	w.Domain("example.com").TLSRPT(receiver.URL())

	records, err := w.NetResolver().LookupTXT(context.Background(), "_smtp._tls.example.com.")
	fmt.Println(records, err)

	client := &http.Client{Transport: w.Transport()}
	for _, fault := range []strictmxtest.PolicyFault{strictmxtest.Status(503), strictmxtest.None} {
		receiver.Fault(fault)
		resp, err := client.Post(receiver.URL(), "application/tlsrpt+json", strings.NewReader("{}"))
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	for _, p := range receiver.Posts() {
		fmt.Printf("%s %s, taken: %v\n", p.URI, p.Body, p.Taken())
	}
	// Output:
	// [v=TLSRPTv1; rua=https://reports.example.net/tlsrpt] <nil>
	// 503 Service Unavailable
	// 200 OK
	// /tlsrpt {}, taken: false
	// /tlsrpt {}, taken: true
}
