package tlsrpt

import (
	"errors"
	"reflect"
	"strings"
)

// byText is the last resort, for the faults that crypto/tls and crypto/x509
// tell by nothing but the text of an errors.New: Go offers no type, no value
// and no code for them. The text picks a word of ours and goes no further. An
// error of any other type is not asked for its text.
func byText(err error) (Failure, bool) {
	if reflect.TypeOf(err) != plainError {
		return Failure{}, false
	}
	text := err.Error()
	for _, k := range knownTexts {
		if strings.HasPrefix(text, k.prefix) {
			return Failure{Type: k.typ, Reason: k.reason}, true
		}
	}
	return Failure{}, false
}

// plainError is the type of what errors.New returns, and fmt.Errorf without %w.
var plainError = reflect.TypeOf(errors.New(""))

// knownTexts is searched in order, so that a package's own prefix, which stands
// for all the rest of it, comes last. It is never changed.
var knownTexts = []struct {
	prefix string
	typ    ResultType
	reason string
}{
	{"tls: server selected unsupported protocol version", ValidationFailure, ReasonTLSVersion},
	{"tls: downgrade attempt detected", ValidationFailure, ReasonTLSDowngrade},
	{"tls: server chose an unconfigured cipher suite", ValidationFailure, ReasonTLSCipher},
	{"tls: server selected unsupported group", ValidationFailure, ReasonTLSCipher},
	{"tls: server selected unsupported curve", ValidationFailure, ReasonTLSCipher},
	{"tls: server selected unoffered curve", ValidationFailure, ReasonTLSCipher},
	{"tls: failed to parse certificate from server", CertificateNotTrusted, ReasonBadCertificate},
	{"tls: server sent certificate containing RSA key larger", CertificateNotTrusted, ReasonBadCertificate},
	{"tls: server's certificate contains an unsupported type", CertificateNotTrusted, ReasonBadCertificate},
	{"tls: received empty certificates message", CertificateNotTrusted, ReasonNoCertificate},
	{"tls: invalid signature by the server certificate", ValidationFailure, ReasonTLSSignature},
	{"tls: certificate used with invalid signature algorithm", ValidationFailure, ReasonTLSSignature},
	{"tls: server's Finished message was incorrect", ValidationFailure, ReasonTLSSignature},
	{"tls: invalid server finished hash", ValidationFailure, ReasonTLSSignature},
	{"tls: no supported versions satisfy", ValidationFailure, ReasonLocalConfig},
	{"tls: either ServerName or InsecureSkipVerify", ValidationFailure, ReasonLocalConfig},
	{"tls: invalid NextProtos value", ValidationFailure, ReasonLocalConfig},
	{"tls: NextProtos values too large", ValidationFailure, ReasonLocalConfig},
	{"tls: no supported elliptic curves", ValidationFailure, ReasonLocalConfig},
	{"tls: CurvePreferences", ValidationFailure, ReasonLocalConfig},
	{"tls: protocol is shutdown", ValidationFailure, ReasonConnectionClosed},
	{"tls: ", ValidationFailure, ReasonTLSProtocol},
	{"x509: ", CertificateNotTrusted, ReasonInvalidChain},
}
