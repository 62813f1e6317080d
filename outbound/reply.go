package outbound

import (
	"bufio"
	"errors"
	"fmt"
	"net/textproto"
	"strings"

	"github.com/strictmx/strictmx/internal/ablation"
)

const (
	// maxPerCommand bounds what a server may send for one command (R13). The
	// longest honest EHLO reply is a hundredth of it.
	maxPerCommand = 128 << 10
	// maxReplyLine is generous: RFC 5321, section 4.5.3.1.5, has 512 octets.
	maxReplyLine = 4096

	codeReady   = 220
	codeOK      = 250
	codeClosing = 421 // the server hangs up (RFC 5321, section 3.8)
)

var (
	errFlood   = errors.New("more than 128 KiB in answer to one command")
	errNotSMTP = errors.New("what came is no SMTP reply")
)

// reply is what a server said, line by line without the code.
type reply struct {
	code  int
	lines []string
}

// readReply reads one reply (RFC 5321, section 4.2). A line may end in LF alone.
func readReply(r *bufio.Reader) (reply, error) {
	var got reply
	for total := 0; ; {
		line, err := r.ReadSlice('\n')
		total += len(line)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return reply{}, errNotSMTP
		case err != nil:
			return reply{}, err
		case total > maxPerCommand:
			return reply{}, errFlood
		}
		code, more, text, ok := parseReplyLine(strings.TrimRight(string(line), "\r\n"))
		if !ok || got.code != 0 && code != got.code {
			return reply{}, errNotSMTP
		}
		got.code = code
		got.lines = append(got.lines, text)
		if !more {
			return got, nil
		}
	}
}

func parseReplyLine(line string) (code int, more bool, text string, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return 0, false, "", false
	}
	for i := range 3 {
		if line[i] < '0' || line[i] > '9' {
			return 0, false, "", false
		}
		code = code*10 + int(line[i]-'0')
	}
	if len(line) == 3 {
		return code, false, "", true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, "", false
	}
	return code, line[3] == '-', line[4:], true
}

// offers reports whether a reply to EHLO has the keyword, given in lower case
// (RFC 5321, section 4.1.1.1: the first line is not one of them).
func (r reply) offers(keyword string) bool {
	for _, line := range r.lines[1:] {
		word, _, _ := strings.Cut(line, " ")
		if equalASCII(word, keyword) {
			return true
		}
	}
	return false
}

// refusal is the reply as an error: command is what it answers.
func (r reply) refusal(command string) error {
	text := cut(strings.Join(r.lines, " "))
	return fmt.Errorf("%s was answered: %w", command, &textproto.Error{Code: r.code, Msg: text})
}

// status is what a reply means for the sender of the mail. Nothing said before
// TLS was verified is believed for good where the domain asks for TLS (R12).
func (r reply) status(enforced bool) status {
	s := status{code: r.code, enhanced: [3]int{r.code / 100, 0, 0}}
	var c, subject, detail int
	if n, _ := fmt.Sscanf(r.lines[0], "%1d.%3d.%3d ", &c, &subject, &detail); n == 3 && c == r.code/100 && subject >= 0 && detail >= 0 {
		s.enhanced = [3]int{c, subject, detail} // RFC 2034
	}
	switch {
	case r.code < 400: // a reply that makes no sense there
		return broken
	case r.code >= 500 && enforced && !ablation.Off(ablation.NothingForGood):
		return later
	}
	return s
}
