package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// options is the command line.
type options struct {
	html   string   // where the page goes; "": tables, not a page
	names  []string // files and directories; "-" is standard input
	sample bool
}

const usage = `Usage:
  report [-html FILE] [FILE or DIRECTORY...]   show TLS reports: JSON, gzipped, or the mails they came in
  report [-html FILE] -                        the same, one report on standard input; without the - if it is piped
  report [-html FILE] -sample                  show a made-up sample

Flags:
`

const statuses = `
Exit status:
   0  every report was read
   1  some could not be read, and the others are shown
  64  the command line is wrong
  74  the tables or the page could not be written
`

// parse reads the command line. Help goes to out.
func parse(args []string, stdin io.Reader, out io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("report", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.html, "html", "", "write one HTML page to this `file`, replacing an older page, or to standard output if it is \"-\"")
	fs.BoolVar(&o.sample, "sample", false, "show a made-up sample")
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
	o.names = fs.Args()
	switch {
	case o.sample && len(o.names) > 0:
		return o, fmt.Errorf("-sample shows no files, and %q was given", o.names[0])
	case misplacedFlag(o.names) != "":
		return o, fmt.Errorf("%q is no file: flags go before the files", misplacedFlag(o.names))
	case o.sample || len(o.names) > 0:
	case isDevice(stdin) && o.html != "":
		return o, errors.New("-html needs reports to show, or -sample: report -html page.html REPORT")
	case isDevice(stdin):
		o.sample = true // a newcomer at a terminal sees something at once
	default:
		o.names = []string{"-"}
	}
	return o, nil
}

// misplacedFlag returns the first name that was meant as a flag.
func misplacedFlag(names []string) string {
	for _, name := range names {
		if _, err := os.Lstat(name); err != nil && len(name) > 1 && name[0] == '-' {
			return name
		}
	}
	return ""
}

// isDevice is true for a terminal, and for /dev/null.
func isDevice(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
