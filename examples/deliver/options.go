package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
)

// options is the command line.
type options struct {
	demo, dryRun, verbose, json bool

	from    string
	to      list
	file    string // of the message; "-" is standard input
	helo    string
	timeout time.Duration

	dns, port, policyHost, roots string
	allowPrivate                 bool
}

// list is a flag that may be repeated, and hold several values between commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	for word := range strings.SplitSeq(s, ",") {
		if word = strings.TrimSpace(word); word != "" {
			*l = append(*l, word)
		}
	}
	return nil
}

const usage = `Usage:
  deliver [-dry-run] [-v] [-json]                deliver to every domain of a world on loopback
  deliver -from ADDRESS -to ADDRESS[,...] FILE   deliver FILE, or standard input if it is "-"
  deliver -dry-run -to ADDRESS[,...]             connect to the hosts, and stop before MAIL FROM

Flags:
`

const statuses = `
Exit status:
   0  delivered to all recipients, or in a dry run, all could be delivered to;
      in the demo, every domain fared as it had to
   1  deferred for some: try them again later; in the demo, not as it had to
   2  refused for good for some; others may be deferred
  64  the command line is wrong, 66 a file cannot be used: nothing was sent
  71  the demo could not start, 74 what happened could not be printed
`

// parse reads the command line. Help goes to out.
func parse(args []string, out io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("deliver", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.from, "from", "", "the sender's `address`; \"\" or <> is the null sender")
	fs.Var(&o.to, "to", "the recipients' `addresses`, between commas; may be repeated")
	fs.BoolVar(&o.dryRun, "dry-run", false, "stop before MAIL FROM; a host that could be delivered to is \"ready\"")
	fs.BoolVar(&o.verbose, "v", false, "say what was wrong and what to do about it")
	fs.BoolVar(&o.json, "json", false, "print the reports as they would be sent, each as JSON on one line")
	fs.StringVar(&o.helo, "helo", "", "our `name` in EHLO (default: this machine's)")
	fs.DurationVar(&o.timeout, "timeout", 0, "bounds the delivery to a domain (default: 15m)")
	fs.StringVar(&o.dns, "dns", "", "ask this name server, an IP `address[:port]` (default: those of the system)")
	fs.StringVar(&o.port, "port", "25", "the `port` of the MX hosts")
	fs.StringVar(&o.policyHost, "policy-host", "", "fetch every policy from this `address:port` (default: port 443 of mta-sts.DOMAIN)")
	fs.StringVar(&o.roots, "roots", "", "a PEM `file` with the authorities to trust (default: those of the system)")
	fs.BoolVar(&o.allowPrivate, "allow-private", false, "connect to MX and policy hosts at addresses that are not public")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		fs.SetOutput(out)
		fs.PrintDefaults()
		fmt.Fprint(out, statuses)
	}
	if err != nil {
		return o, err
	}
	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	return o, o.check(fs.Args(), given)
}

// check finds what is missing and what cannot be meant.
func (o *options) check(files []string, given map[string]bool) error {
	o.demo = len(files) == 0
	for name := range given { // these say nothing of where to deliver
		o.demo = o.demo && (name == "dry-run" || name == "v" || name == "json" || name == "timeout")
	}
	o.from = strings.TrimSuffix(strings.TrimPrefix(o.from, "<"), ">")
	switch {
	case o.timeout < 0:
		return fmt.Errorf("-timeout %v is negative", o.timeout)
	case o.demo:
		return nil
	case len(o.to) == 0:
		return errors.New("-to is missing: who is the message for?")
	case !o.dryRun && !given["from"]:
		return errors.New("-from is missing: who gets the bounces? (-from '' for nobody)")
	case !o.dryRun && len(files) == 0:
		return errors.New("the message is missing: name its file, or - for standard input")
	case len(files) > 1:
		return fmt.Errorf("one message at a time, and flags before its name: cannot use %q", files[1:])
	}
	for _, address := range o.to {
		if !plausible(address) {
			return fmt.Errorf("-to %q is no mail address: want local@domain", address)
		}
	}
	if o.from != "" && !plausible(o.from) {
		return fmt.Errorf("-from %q is no mail address: want local@domain", o.from)
	}
	if port, err := strconv.ParseUint(o.port, 10, 16); err != nil || port == 0 {
		return fmt.Errorf("-port %q is no port: want 1 to 65535", o.port)
	}
	if _, err := netip.ParseAddrPort(o.dns); err != nil && o.dns != "" {
		if _, err := netip.ParseAddr(o.dns); err != nil {
			return fmt.Errorf("-dns %q is no IP address, with or without a port", o.dns)
		}
	}
	if _, _, err := net.SplitHostPort(o.policyHost); err != nil && o.policyHost != "" {
		return fmt.Errorf("-policy-host %q: want address:port", o.policyHost)
	}
	if len(files) == 1 {
		o.file = files[0]
	}
	return nil
}

// plausible catches slips of the hand; outbound looks more closely.
func plausible(address string) bool {
	at := strings.LastIndexByte(address, '@')
	quoted := address != "" && address[0] == '"' // may hold blanks
	return at > 0 && at < len(address)-1 && !strings.ContainsFunc(address, func(r rune) bool {
		return unicode.IsControl(r) || r == ' ' && !quoted
	})
}

// message reads the message; a dry run needs none.
func (o *options) message(stdin io.Reader) ([]byte, error) {
	var msg []byte
	var err error
	switch {
	case o.dryRun:
		return nil, nil
	case o.file == "-":
		msg, err = io.ReadAll(stdin)
	default:
		msg, err = os.ReadFile(o.file)
	}
	if err != nil {
		return nil, fmt.Errorf("the message: %w", err)
	}
	if len(bytes.TrimSpace(msg)) == 0 {
		return nil, fmt.Errorf("the message %s is empty", o.file)
	}
	return msg, nil
}

// submitter is who the reports are from: the sender of the message, or somebody made
// up where it has none.
func (o *options) submitter() tlsrpt.Submitter {
	return tlsrpt.Submitter{Organization: "An example of strictmx", Contact: cmp.Or(o.from, "postmaster@sender.example")}
}

// network is what the flags make of it. What they leave alone stays nil, and the
// library chooses.
func (o *options) network() (network, error) {
	n := network{port: o.port, resolver: new(resolver.Client)}
	if o.dns != "" {
		n.resolver.Servers = []string{o.dns}
	}
	transport := mtasts.NewTransport(n.resolver)
	n.transport = transport
	if o.roots != "" {
		pem, err := os.ReadFile(o.roots)
		if err != nil {
			return n, fmt.Errorf("-roots: %w", err)
		}
		n.roots = x509.NewCertPool()
		if !n.roots.AppendCertsFromPEM(pem) {
			return n, fmt.Errorf("-roots: %s holds no certificate in PEM", o.roots)
		}
		transport.TLSClientConfig.RootCAs = n.roots
	}
	var d net.Dialer
	if o.allowPrivate {
		n.dial = d.DialContext
		transport.DialContext = dialByName(n.resolver)
	}
	if o.policyHost != "" {
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, o.policyHost)
		}
	}
	return n, nil
}

// dialByName connects to any address of a host that r finds.
func dialByName(r *resolver.Client) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		addrs, err := r.Addr(ctx, host)
		if err != nil {
			return nil, err
		}
		err = fmt.Errorf("%s has no address", host)
		for _, addr := range addrs.Records {
			var conn net.Conn
			var d net.Dialer
			if conn, err = d.DialContext(ctx, network, net.JoinHostPort(addr.String(), port)); err == nil {
				return conn, nil
			}
		}
		return nil, err
	}
}
