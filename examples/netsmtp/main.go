// Netsmtp sends a message with net/smtp, held to the MTA-STS policy of its
// recipient: send is all it takes. It delivers to a domain of a world on loopback
// which enforces a policy, and then once more, with STARTTLS stripped on the
// way:
//
//	go run ./examples/netsmtp
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/smtp"
	"os"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/outbound"
	"github.com/strictmx/strictmx/strictmxtest"
)

// dialer connects to an address, as [net.Dialer.DialContext] does.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// send delivers msg to the recipient of a domain through one of its MX hosts. An
// error of type [*outbound.Error] says why this host may not have it now, and
// that the next is to be asked.
func send(ctx context.Context, e *outbound.Enforcer, dial dialer, domain, host, from, to string, msg []byte) error {
	plan, err := e.Plan(ctx, outbound.Delivery{Domain: domain}) // which policies hold
	if err != nil {
		return err
	}
	session, err := plan.Session(ctx, host) // may this host be used?
	if err != nil {
		return err
	}
	conn, err := session.Connect(ctx, func(ctx context.Context) (net.Conn, error) { // STARTTLS, as safe as they ask
		return dial(ctx, "tcp", net.JoinHostPort(host, "25"))
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })() // net/smtp knows no context, and waits for ever
	client, err := smtp.NewClient(conn, host)               // from here on, net/smtp as ever
	if err != nil {
		return err
	}
	if err := client.Hello(conn.LocalName()); err != nil {
		return err
	}
	if err := client.Mail(from); err != nil {
		return err
	}
	if err := client.Rcpt(to); err != nil {
		return err
	}
	data, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := data.Write(msg); err != nil {
		return err
	}
	if err := data.Close(); err != nil {
		return err
	}
	client.Quit() // the message is theirs, whatever they say now
	return nil
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	world, err := strictmxtest.Start()
	if err != nil {
		return err
	}
	defer world.Close()
	world.Domain("example.com").
		MX("mx.example.com").
		Policy(strictmxtest.PolicyText("enforce", "mx.example.com"))

	// In the real world the policies are a zero mtasts.Client, and there is no
	// TLSConfig to set.
	policies := &mtasts.Client{Resolver: world.Resolver(), Transport: world.Transport()}
	defer policies.Close()
	enforcer := &outbound.Enforcer{
		MTASTS:    policies,
		TLSConfig: &tls.Config{RootCAs: world.Roots()},
		LocalName: "mail.sender.example",
	}

	for _, fault := range []strictmxtest.MXFault{strictmxtest.None, strictmxtest.StrippedSTARTTLS} {
		world.MX("mx.example.com").Fault(fault)
		err := send(ctx, enforcer, world.DialContext, "example.com", "mx.example.com",
			"alice@sender.example", "bob@example.com", []byte("Subject: Hello\r\n\r\nHello, Bob.\r\n"))
		fmt.Fprintf(out, "fault: %v\n  error: %v\n  messages that have arrived: %d\n",
			fault, err, len(world.MX("mx.example.com").Messages()))
	}
	return nil
}
