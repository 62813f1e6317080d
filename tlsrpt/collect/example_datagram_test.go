//go:build unix

package collect_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
	"github.com/strictmx/strictmx/tlsrpt/collect"
)

// zone is a DNS of one TXT record.
type zone map[string]string

func (z zone) TXT(_ context.Context, name string) (resolver.Answer[string], error) {
	if z[name] == "" {
		return resolver.Answer[string]{}, nil
	}
	return resolver.Answer[string]{Records: []string{z[name]}}, nil
}

func ExampleDatagram() {
	dir, err := os.MkdirTemp("", "tlsrpt")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "collectd.sock")
	// In the place of the daemon:
	daemon, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer daemon.Close()

	d := &collect.Datagram{
		Path:     path,
		Resolver: zone{"_smtp._tls.example.com": "v=TLSRPTv1; rua=mailto:tls@example.com"}, // by default, the machine's own
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()

	// What an outbound.Enforcer tells its Observer:
	d.Observe(tlsrpt.Event{
		Domain: "example.com", MXHost: "mx.example.com",
		Outcomes: []tlsrpt.Outcome{{
			Policy:   &tlsrpt.Policy{Type: tlsrpt.NoPolicyFound, Domain: "example.com"},
			Failures: []tlsrpt.Failure{{Type: tlsrpt.STARTTLSNotSupported}},
		}},
	})

	b := make([]byte, 64<<10)
	n, err := daemon.Read(b)
	fmt.Println(string(b[:n]), err)
	cancel()
	fmt.Println(<-done)
	// Output:
	// {"dpv":"1","d":"example.com","pr":"v=TLSRPTv1;rua=mailto:tls@example.com","policies":[{"policy-type":9,"policy-domain":"example.com","failure-details":[{"c":201,"n":"mx.example.com"}],"t":1,"f":1}]} <nil>
	// context canceled
}
