package strictmxtest_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/strictmx/strictmx/strictmxtest"
)

// deliver sends one message as far as it goes, with STARTTLS under cfg unless it
// is nil; ServerName is the host.
func deliver(t *testing.T, w *strictmxtest.World, host string, cfg *tls.Config) error {
	t.Helper()
	conn, err := w.DialContext(t.Context(), "tcp", host+":25")
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	return transact(c, host, cfg)
}

func transact(c *smtp.Client, host string, cfg *tls.Config) error {
	if err := c.Hello("client.example"); err != nil {
		return fmt.Errorf("EHLO: %w", err)
	}
	if cfg != nil {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return fmt.Errorf("EHLO: no STARTTLS")
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
		if err := c.StartTLS(cfg); err != nil {
			return fmt.Errorf("STARTTLS: %w", err)
		}
	}
	if err := c.Mail("alice@sender.example"); err != nil {
		return fmt.Errorf("MAIL: %w", err)
	}
	if err := c.Rcpt("bob@example.com"); err != nil {
		return fmt.Errorf("RCPT: %w", err)
	}
	data, err := c.Data()
	if err != nil {
		return fmt.Errorf("DATA: %w", err)
	}
	fmt.Fprint(data, "Subject: Hello\r\n\r\n.dot\r\n..dots\r\nend\r\n")
	if err := data.Close(); err != nil {
		return fmt.Errorf("message: %w", err)
	}
	return c.Quit()
}

// talk sends lines one by one and returns the replies, the greeting first; a
// reply of several lines is joined by "|".
func talk(t *testing.T, conn net.Conn, lines ...string) []string {
	t.Helper()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(conn)
	var replies []string
	for _, line := range append([]string{""}, lines...) {
		if line != "" {
			io.WriteString(conn, line+"\r\n")
		}
		var all []string
		for {
			reply, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("after %q: %v", line, err)
			}
			all = append(all, strings.TrimRight(reply, "\r\n"))
			if reply[3] == ' ' {
				break
			}
		}
		replies = append(replies, strings.Join(all, "|"))
	}
	return replies
}
