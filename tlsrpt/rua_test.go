package tlsrpt

import (
	"strings"
	"testing"
)

func TestMailbox(t *testing.T) { // R18
	local64, label := strings.Repeat("a", 64), strings.Repeat("d", 63)
	// 64 + 1 + 189 = 254 octets, and one more.
	domain189 := label + "." + label + "." + strings.Repeat("d", 56) + ".test"
	for _, c := range []struct {
		name, in  string
		want, uri string // "": refused; uri "": as in
	}{
		{"an address", "mailto:tls@example.com", "tls@example.com", ""},
		{"letters of the local part keep their case", "mailto:TLS@Example.COM", "TLS@example.com", "mailto:TLS@example.com"},
		{"those of the scheme do not count", "MAILTO:a@x.test", "a@x.test", "mailto:a@x.test"},
		{"octets are decoded", "mailto:%74ls%40x.test", "tls@x.test", "mailto:tls@x.test"},                     // RPT-19
		{"a plus is a plus", "mailto:user+tls@x.test", "user+tls@x.test", ""},                                  // RPT-19
		{"also when it is encoded", "mailto:user%2Btls@x.test", "user+tls@x.test", "mailto:user+tls@x.test"},   // RPT-19
		{"header fields are ignored", "mailto:a@x.test?subject=hi&to=b@x.test", "a@x.test", "mailto:a@x.test"}, // RPT-19
		{"an address in a header field is none", "mailto:?to=a@x.test", "", ""},                                // RPT-19
		{"an empty address is none", "mailto:", "", ""},                                                        // RPT-19
		{"an exclamation mark may be encoded", "mailto:a%21b@x.test", "a!b@x.test", "mailto:a%21b@x.test"},     // RPT-10
		{"an encoded comma wants its quotes", "mailto:a%2Cb@x.test", "", ""},                                   // RPT-10, R18
		{"and has them here", "mailto:%22a%2Cb%22@x.test", `"a,b"@x.test`, ""},                                 // RPT-10, R18
		{"so has a semicolon", "mailto:%22a%3Bb%22@x.test", `"a;b"@x.test`, ""},                                // RPT-10, R18
		{"a quoted blank", "mailto:%22a%20b%22@x.test", `"a b"@x.test`, ""},                                    //
		{"a quoted at sign", "mailto:%22a%40b%22@x.test", `"a@b"@x.test`, ""},                                  //
		{"quoted pairs", "mailto:%22a%5C%22b%5C%5C%5Cc%22@x.test", `"a\"b\\c"@x.test`, "mailto:%22a%5C%22b%5C%5Cc%22@x.test"},
		{"quotes that are not needed are dropped", "mailto:%22a.b%22@x.test", "a.b@x.test", "mailto:a.b@x.test"},
		{"what is odd in a URI is encoded", "mailto:%23%25%26%2F%3D%3F%5E%60%7B%7C%7D@x.test", "#%&/=?^`{|}@x.test", ""},
		{"an IDN is given in A-labels", "mailto:a@b%C3%BCcher.test", "a@xn--bcher-kva.test", "mailto:a@xn--bcher-kva.test"},
		{"a dot at the end is dropped", "mailto:a@x.test.", "a@x.test", "mailto:a@x.test"},
		{"64 octets before the at sign", "mailto:" + local64 + "@x.test", local64 + "@x.test", ""},
		{"65 are too many", "mailto:a" + local64 + "@x.test", "", ""},
		{"254 octets in all", "mailto:" + local64 + "@" + domain189, local64 + "@" + domain189, ""},
		{"255 are too many", "mailto:" + local64 + "@d" + domain189, "", ""},
		{"quotes count", "mailto:%22" + strings.Repeat("%20", 63) + "%22@x.test", "", ""},
		{"no option to a program", "mailto:-fx@x.test", "", ""},
		{"no pipe", "mailto:%7Csh@x.test", "", ""},
		{"no file", "mailto:%2Fetc%2Fpasswd@x.test", "", ""},
		{"nor in quotes", "mailto:%22-f%20x%22@x.test", "", ""},
		{"nor behind a backslash", "mailto:%22%5C%7Csh%22@x.test", "", ""},
		{"no line breaks", "mailto:a%0D%0ARCPT%20TO:b@x.test", "", ""},
		{"nor in quotes", "mailto:%22a%0D%0A%22@x.test", "", ""},
		{"nor in a quoted pair", "mailto:%22a%5C%0A%22@x.test", "", ""},
		{"no NUL", "mailto:a%00@x.test", "", ""},
		{"no letters beyond ASCII", "mailto:%C3%A9@x.test", "", ""},
		{"no blank without quotes", "mailto:a%20b@x.test", "", ""},
		{"no empty quotes", "mailto:%22%22@x.test", "", ""},
		{"no half of them", "mailto:%22@x.test", "", ""},
		{"no quote within", "mailto:%22a%22b%22@x.test", "", ""},
		{"no backslash at the end", "mailto:%22a%5C%22@x.test", "", ""},
		{"no dot at the start", "mailto:.a@x.test", "", ""},
		{"no two in a row", "mailto:a..b@x.test", "", ""},
		{"no dot at the end", "mailto:a.@x.test", "", ""},
		{"no local part", "mailto:@x.test", "", ""},
		{"no domain", "mailto:a@", "", ""},
		{"no second address", "mailto:a@x.test%2Cb@y.test", "", ""},
		{"no route", "mailto:%40y.test:a@x.test", "", ""},
		{"no display name", "mailto:A%20%3Ca@x.test%3E", "", ""},
		{"no address literal", "mailto:a@[192.0.2.1]", "", ""},
		{"nor without brackets", "mailto:a@192.0.2.1", "", ""},
		{"no mailbox of this machine", "mailto:root@localhost", "", ""},
		{"no name with a blank", "mailto:a@x%20y.test", "", ""},
		{"no fragment, which would hide the rest", "mailto:a#b@x.test", "", ""},
		{"no characters that a URI may not hold", "mailto:\"a b\"@x.test", "", ""},
		{"another scheme has no mailbox", "https://a@x.test", "", ""},
		{"nothing has none", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := Mailbox(c.in)
			if got != c.want || ok != (c.want != "") {
				t.Errorf("Mailbox(%q) = %q, %v; want %q", c.in, got, ok, c.want)
			}
			if !ok {
				return
			}
			uri, reason := parseURI(c.in)
			if c.uri == "" {
				c.uri = c.in
			}
			if uri != c.uri || reason != "" {
				t.Errorf("parseURI(%q) = %q, %q; want %q", c.in, uri, reason, c.uri)
			}
			if again, ok := Mailbox(uri); again != got || !ok {
				t.Errorf("Mailbox(%q) = %q, %v; want %q", uri, again, ok, got)
			}
		})
	}
}

func TestHTTPSEndpoint(t *testing.T) { // R18
	long := "https://r.test/" + strings.Repeat("a", 1024-len("https://r.test/"))
	for _, c := range []struct{ name, in, want string }{
		{"a path", "https://r.test/v1/tls", "https://r.test/v1/tls"},
		{"a query", "https://r.test/?a=1&b=%2C", "https://r.test/?a=1&b=%2C"},
		{"an empty path is the root", "https://r.test", "https://r.test/"},
		{"also before a query", "https://r.test?a=https://x", "https://r.test/?a=https://x"},
		{"case counts in the path alone", "HTTPS://R.TEST/Ab", "https://r.test/Ab"},
		{"port 443 is the default", "https://r.test:443/", "https://r.test/"},
		{"an empty port is, too", "https://r.test:/", "https://r.test/"},
		{"a dot at the end of the name is dropped", "https://r.test./", "https://r.test/"},
		{"1 KiB", long, long},
		{"no more than that", long + "a", ""},
		{"no other port", "https://r.test:8443/", ""},
		{"nor one that is no number", "https://r.test:https/", ""},
		{"no user", "https://u@r.test/", ""},
		{"no user with a password", "https://u:443@r.test/", ""},
		{"an at sign in the path is none", "https://r.test/@u", "https://r.test/@u"},
		{"no fragment", "https://r.test/#x", ""},
		{"no IPv4 address", "https://127.0.0.1/", ""}, // RPT-22
		{"in no spelling", "https://0x7f.1/", ""},     // RPT-22
		{"no IPv6 address", "https://[::1]/", ""},     // RPT-22
		{"no name of this network", "https://localhost/", ""},
		{"no encoded name", "https://r%2Etest/", ""},
		{"no brackets in the path", "https://r.test/[a]", ""},
		{"no host", "https:///x", ""},
		{"no authority", "https:r.test/x", ""},
		{"nor a half one", "https:/r.test/x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, reason := parseURI(c.in)
			if got != c.want || (reason == "") != (c.want != "") || reason != "" && reason != ReasonBadEndpoint {
				t.Errorf("parseURI(%q) = %q, %q; want %q", c.in, got, reason, c.want)
			}
		})
	}
}
