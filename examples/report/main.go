// Report shows what TLS reports (RFC 8460) say: how many sessions went well and
// how many did not, by domain, policy and day; what failed where; who says so;
// and what to do about it.
//
// It reads reports as JSON, gzipped, or as the mails they came in: files,
// whole directories, or standard input. It prints tables, or with -html makes
// one page that needs no scripts and no network:
//
//	go run ./examples/report ~/Maildir/.tls-reports/new
//	go run ./examples/report -html tls.html *.json.gz
//	go run ./examples/report < mail.eml
//
// Without arguments at a terminal it shows a made-up sample.
//
// Every word in a report is a stranger's, and anyone can send one: clean.go has
// what becomes of such words, and the template of the page, page.html, has them
// nowhere but between tags.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// The exit statuses. Those from 64 on are of sysexits.h.
const (
	exitDone   = 0  // every report was read and shown
	exitUnread = 1  // some could not be read; the others were shown
	exitUsage  = 64 // the command line is wrong
	exitOutput = 74 // the table or the page could not be written
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args, stdin, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err != nil:
		return fail(stderr, exitUsage, fmt.Errorf("%w (report -h explains)", err))
	}
	t, unread := o.read(stdin, stderr)
	if t.reports == 0 {
		return exitUnread // each file said why; a page that is there stays as it is
	}
	if err := o.show(t.result(), stdout); err != nil {
		return fail(stderr, exitOutput, err)
	}
	if unread {
		return exitUnread
	}
	return exitDone
}

// read counts every report that can be read, and says of each other why not.
func (o options) read(stdin io.Reader, stderr io.Writer) (t *tally, unread bool) {
	t = newTally()
	if o.sample {
		for _, r := range sample() {
			t.add(r)
		}
		return t, false
	}
	for in := range inputs(o.names, stdin) {
		if in.err != nil {
			unread = true
			fail(stderr, exitUnread, in.err)
			continue
		}
		t.add(in.report)
	}
	return t, unread
}

// show prints the tables, or writes the page and says so.
func (o options) show(r *result, stdout io.Writer) error {
	r.Sample = o.sample
	switch o.html {
	case "":
		return printTables(stdout, r)
	case "-":
		return writePage(stdout, r)
	}
	if err := replaceFile(o.html, func(w io.Writer) error { return writePage(w, r) }); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "%s: %s\n", line(o.html), r.summary())
	return err
}

func fail(stderr io.Writer, status int, err error) int {
	fmt.Fprintf(stderr, "report: %s\n", line(err.Error()))
	return status
}
