package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"

	"github.com/strictmx/strictmx/resolver"
)

// A Client tells "there is none" from "nobody knows", and says for how long.
func ExampleClient_TXT() {
	c := &resolver.Client{Servers: []string{exampleServer()}} // the zero Client asks the system's
	for _, domain := range []string{"example.com", "example.org", "example.net"} {
		txt, err := c.TXT(context.Background(), "_mta-sts."+domain)
		switch e, _ := errors.AsType[*resolver.Error](err); {
		case e != nil:
			fmt.Println(domain, "is not known:", e.Kind, e.Extended)
		case len(txt.Records) == 0:
			fmt.Println(domain, "has no record for the next", txt.TTL)
		default:
			fmt.Printf("%s has %q for the next %v\n", domain, txt.Records[0], txt.TTL)
		}
	}
	// Output:
	// example.com has "v=STSv1; id=20260101;" for the next 5m0s
	// example.org has no record for the next 1m0s
	// example.net is not known: servfail [EDE 6 DNSSEC Bogus "signature expired"]
}

func ExampleClient_MX() {
	c := &resolver.Client{Servers: []string{exampleServer()}, Timeout: 2 * time.Second}
	mx, err := c.MX(context.Background(), "example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range mx.Records {
		addr, err := c.Addr(context.Background(), r.Host)
		fmt.Println(r.Preference, r.Host, addr.Records, err)
	}
	// Output:
	// 10 mx.example.com [2001:db8::25 192.0.2.25] <nil>
}

// A name that is none costs no question.
func ExampleError() {
	var c resolver.Client
	_, err := c.MX(context.Background(), "[192.0.2.1]")
	fmt.Println(err)
	// Output:
	// resolver: MX "[192.0.2.1]": invalid-name: an IP address, not a DNS name
}

// FromNet is for programs that have a *net.Resolver already.
func ExampleFromNet() {
	server := exampleServer()
	r := resolver.FromNet(&net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}})
	txt, err := r.TXT(context.Background(), "_mta-sts.example.com")
	fmt.Println(txt.Records, txt.TTL < 0, err)
	// Output:
	// [v=STSv1; id=20260101;] true <nil>
}

// exampleServer starts a DNS server on loopback that knows a few names.
func exampleServer() string {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	records := map[string]string{
		"_mta-sts.example.com. TXT": `_mta-sts.example.com. 300 IN TXT "v=STSv1; id=20260101;"`,
		"example.com. MX":           "example.com. 300 IN MX 10 mx.example.com.",
		"mx.example.com. A":         "mx.example.com. 300 IN A 192.0.2.25",
		"mx.example.com. AAAA":      "mx.example.com. 300 IN AAAA 2001:db8::25",
	}
	go dns.ActivateAndServe(nil, conn, dns.HandlerFunc(func(w dns.ResponseWriter, req *dns.Msg) {
		reply := new(dns.Msg).SetReply(req)
		q := req.Question[0]
		if text, ok := records[q.Name+" "+dns.TypeToString[q.Qtype]]; ok {
			rr, _ := dns.NewRR(text)
			reply.Answer = []dns.RR{rr}
		} else if q.Name == "_mta-sts.example.net." {
			reply.Rcode = dns.RcodeServerFailure
			reply.SetEdns0(1232, false)
			reply.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: 6, ExtraText: "signature expired"}}
		} else {
			rr, _ := dns.NewRR(". 60 IN SOA ns.example. hostmaster.example. 1 2 3 4 60")
			reply.Ns = []dns.RR{rr}
		}
		w.WriteMsg(reply)
	}))
	return conn.LocalAddr().String()
}
