package outbound

import (
	"bufio"
	"errors"
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
	// maxReplyText is what is kept of a server's words (R16); a line has as much.
	maxReplyText = 512

	codeReady   = 220
	codeOK      = 250
	codeClosing = 421 // the server hangs up (RFC 5321, section 3.8)
)

var (
	errFlood   = own("more than 128 KiB in answer to one command")
	errNotSMTP = own("what came is no SMTP reply")
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
	return because{command + " was answered", &textproto.Error{Code: r.code, Msg: cut(strings.Join(r.lines, " "))}}
}

// status is what a reply means for the sender of the mail. Nothing said before
// TLS was verified is believed for good where the domain asks for TLS (R12).
func (r reply) status(enforced bool) status {
	switch {
	case r.code < 400: // a reply that makes no sense there
		return broken
	case r.code >= 500 && enforced && !ablation.Off(ablation.NothingForGood):
		return later
	}
	enhanced, _ := r.words()
	return status{r.code, enhanced}
}

// enhancedCode takes the enhanced status code off a reply's text (RFC 2034, section 3).
func enhancedCode(s string) (code [3]int, rest string, ok bool) {
	word, rest, _ := strings.Cut(s, " ")
	parts := strings.Split(word, ".")
	if len(parts) != len(code) {
		return code, s, false
	}
	for i, part := range parts {
		if len(part) < 1 || len(part) > 3 {
			return code, s, false
		}
		for _, c := range []byte(part) {
			if c < '0' || c > '9' {
				return code, s, false
			}
			code[i] = 10*code[i] + int(c-'0')
		}
	}
	return code, rest, true
}

// words are the lines of a reply as one, without the enhanced codes that stand
// on each of them.
func (r reply) words() (code [3]int, text string) {
	code = [3]int{r.code / 100, 0, 0}
	var texts []string
	for _, line := range r.lines[:min(len(r.lines), 16)] {
		if c, rest, ok := enhancedCode(line); ok && c[0] == code[0] {
			code, line = c, rest
		}
		texts = append(texts, strings.TrimSpace(line))
	}
	return code, clean(strings.Join(texts, " "), maxReplyText)
}
