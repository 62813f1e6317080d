package outbound_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/smtp"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/outbound"
	"github.com/strictmx/strictmx/strictmxtest"
)

// inWorld is a Dialer for a small Internet on loopback. For the real one, its
// zero value will do.
func inWorld(world *strictmxtest.World) *outbound.Dialer {
	return &outbound.Dialer{
		Enforcer: &outbound.Enforcer{
			MTASTS:    &mtasts.Client{Resolver: world.Resolver(), Transport: world.Transport()},
			TLSConfig: &tls.Config{RootCAs: world.Roots()},
			LocalName: "out.sender.test",
		},
		Resolver:    world.Resolver(),
		DialContext: world.DialContext,
	}
}

// One message for two domains. What is Temporary goes back into the queue.
func ExampleDialer_SendMail() {
	world, err := strictmxtest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer world.Close()
	world.Domain("example.com").MX("mx.example.com").Policy(strictmxtest.PolicyText("enforce", "mx.example.com"))
	world.Domain("example.net").MX("mx.example.net").Policy(strictmxtest.PolicyText("enforce", "mx.example.net"))
	world.MX("mx.example.com").Refuse("nobody@example.com", 550)
	world.MX("mx.example.net").Certificate(strictmxtest.Expired)

	receipts := inWorld(world).SendMail(context.Background(), outbound.Envelope{
		From: "alice@sender.test",
		To:   []string{"bob@example.com", "nobody@example.com", "carol@example.net"},
	}, []byte("Subject: hello\n\nHello.\n"))
	for _, r := range receipts {
		fmt.Println(r.Recipient, r.Code, r.Host, r.Level, r.Temporary())
	}
	// Output:
	// bob@example.com 250 mx.example.com verified false
	// nobody@example.com 550 mx.example.com verified false
	// carol@example.net 451 mx.example.net clear true
}

// A mail server with an SMTP client of its own asks for connections alone.
func ExampleDialer_Conns() {
	world, err := strictmxtest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer world.Close()
	world.Domain("example.com").MX("mx1.example.com", "mx2.example.com").Policy(strictmxtest.PolicyText("enforce", "*.example.com"))
	world.MX("mx1.example.com").Fault(strictmxtest.NoSTARTTLS)

	var errs []error
	for conn, err := range inWorld(world).Conns(context.Background(), outbound.Delivery{Domain: "example.com"}) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		client, err := smtp.NewClient(conn, conn.Session.Host())
		if err != nil {
			conn.Close()
			errs = append(errs, err)
			continue
		}
		client.Hello(conn.LocalName())
		fmt.Println("connected:", conn.Session.Host(), conn.Session.Level())
		client.Quit() // after client.Mail, Rcpt and Data
		break
	}
	if e := outbound.Verdict(errs); e != nil { // where no host took the mail, the answer
		fmt.Println("refused:", e.Host, e.Code, e.EnhancedCode)
	}
	// Output:
	// connected: mx2.example.com verified
	// refused: mx1.example.com 451 [4 7 5]
}
