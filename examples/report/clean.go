package main

import (
	"strconv"
	"strings"
	"unicode"
)

const (
	maxText = 100  // runes of what people call themselves, and of free text
	maxName = 253  // octets of a DNS name (RFC 1035, section 2.3.4)
	maxLine = 1000 // runes of an error
	maxMark = 2    // accents on one letter: more would grow into the lines around
)

// text returns a stranger's words as one bounded line that can neither steer a
// terminal nor turn the text around it (R21): letters, digits, punctuation and
// symbols are kept; controls, formats (which all bidi controls are) and what
// has no look of its own are dropped.
func text(s string) string { return cut(s, maxText) }

// line is text for a message of this program that may quote strangers.
func line(s string) string { return cut(s, maxLine) }

func cut(s string, limit int) string {
	var b strings.Builder
	n, marks, blank := 0, 0, false
	for _, r := range s { // bytes that are no UTF-8 come as U+FFFD
		switch {
		case unicode.IsSpace(r):
			blank = b.Len() > 0
			continue
		case !unicode.IsPrint(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
			continue // and the accents after it are on the letter before it
		case !unicode.IsMark(r):
			marks = 0
		case marks == maxMark:
			continue
		default:
			marks++
		}
		if n >= limit {
			b.WriteRune('…')
			break
		}
		if blank {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
		n, blank = n+1, false
	}
	return b.String()
}

// name returns a DNS name or another word of the protocol in lower-case ASCII,
// without a dot at the end. Other letters become their numbers: what looks
// like a known name and is another shows it.
func name(s string) string {
	var b strings.Builder
	for _, r := range cut(s, maxName) {
		octets := string(r)
		switch {
		case 'A' <= r && r <= 'Z':
			octets = string(r - 'A' + 'a')
		case r > '~' && r != '…':
			octets = strings.Trim(strconv.QuoteRuneToASCII(r), "'")
		}
		if b.Len()+len(octets) > maxName {
			return b.String() + "…"
		}
		b.WriteString(octets)
	}
	return strings.TrimSuffix(b.String(), ".")
}
