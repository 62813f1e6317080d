package mtasts_test

import (
	"context"
	"fmt"
	"log"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/strictmxtest"
)

func ExampleClient_Lookup() {
	// A world on loopback stands for DNS and the web; a real program needs none
	// of it, and uses the zero Client.
	world, err := strictmxtest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer world.Close()
	world.Domain("example.com").Policy(strictmxtest.PolicyText("enforce", "*.example.com"))

	client := mtasts.Client{Resolver: world.Resolver(), Transport: world.Transport()}
	defer client.Close()
	for _, domain := range []string{"example.com", "example.net"} {
		r, err := client.Lookup(context.Background(), domain)
		if err != nil {
			log.Fatal(err) // not "no policy": keep the message and try later
		}
		if r.Policy == nil {
			fmt.Printf("%s: no policy (%s)\n", domain, r.Cause())
			continue
		}
		fmt.Printf("%s: %s, mx.example.com %t, mx.example.net %t\n", domain, r.Policy.Mode,
			r.Policy.Match("mx.example.com"), r.Policy.Match("mx.example.net"))
	}
	// Output:
	// example.com: enforce, mx.example.com true, mx.example.net false
	// example.net: no policy (absent)
}

func ExampleParsePolicy() {
	p, err := mtasts.ParsePolicy("version: STSv1\nmode: testing\nmx: *.Example.com\nmx: Priority 10: mail\nmax_age: 86400\n")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Mode, p.MX, p.MaxAge)
	for _, problem := range p.Problems {
		fmt.Printf("line %d: %s: %s\n", problem.Line, problem.Reason, problem.Text)
	}
	// Output:
	// testing [*.example.com] 24h0m0s
	// line 4: bad-mx: mx: Priority 10: mail
}
