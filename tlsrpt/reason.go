package tlsrpt

import "strconv"

// The reasons: the closed vocabulary of [Failure].Reason, which a report shows
// as failure-reason-code (RFC 8460, section 4.4). Every word has the form
// [a-z0-9-]{1,64} and none holds a byte that came from the network. [HTTPReason],
// [STARTTLSReason] and [AlertReason] make the words that hold a number or the
// name of an alert; [Advice] says what to do about each.
//
// Certificates, with [CertificateNotTrusted] unless another type is named. The
// plain cases of [CertificateExpired] and [CertificateHostMismatch] need no
// reason. Where the type is [STSWebPKIInvalid] the words are the same, with
// [ReasonExpired] and [ReasonHostMismatch] for those two.
const (
	ReasonExpired             = "certificate-expired"       // the leaf's notAfter has passed
	ReasonHostMismatch        = "certificate-host-mismatch" // no dNSName of the leaf is the host's
	ReasonNoSAN               = "no-san"                    // the leaf has no dNSName at all; with CertificateHostMismatch
	ReasonNotYetValid         = "not-yet-valid"             // the leaf's notBefore is still to come
	ReasonChainExpired        = "chain-expired"             // an intermediate or root has expired
	ReasonChainNotYetValid    = "chain-not-yet-valid"       // an intermediate or root is not valid yet
	ReasonSelfSigned          = "self-signed"               // the leaf signed itself and is not trusted
	ReasonUnknownAuthority    = "unknown-authority"         // no path to a trusted root: private CA, or intermediates not sent
	ReasonNameConstraints     = "name-constraints"          // a CA of the chain may not sign for a name in the certificate
	ReasonWrongUsage          = "wrong-usage"               // the extended key usage does not allow servers
	ReasonNotCA               = "not-a-ca"                  // signed by a certificate that is no CA
	ReasonPathLength          = "path-length"               // more intermediates than a CA of the chain allows
	ReasonCriticalExtension   = "critical-extension"        // a critical extension that nobody here understands
	ReasonWeakSignature       = "weak-signature"            // signed with SHA-1 or MD5
	ReasonWeakKey             = "weak-key"                  // an RSA key below 2048 bits
	ReasonNoCertificate       = "no-certificate"            // none was sent
	ReasonTooManyCertificates = "too-many-certificates"     // more than ten were sent; none was looked at
	ReasonBadCertificate      = "bad-certificate"           // one cannot be read, or its key is of an unusable kind
	ReasonInvalidChain        = "invalid-chain"             // any other fault of the chain
	ReasonNoRoots             = "no-roots"                  // this machine has no root certificates
)

// The host, and the session before TLS. [ReasonInvalidName], [ReasonAddress]
// and [ReasonSTSMXMismatch] come with [ValidationFailure].
const (
	ReasonSTSMXMismatch      = "sts-mx-mismatch"          // no mx of the policy names the host
	ReasonInvalidName        = "mx-invalid-name"          // the host's name is no DNS name
	ReasonAddress            = "mx-ip-address"            // the host, or an mx of the policy, is an IP address, which no DNS-ID can name
	ReasonEHLORefused        = "ehlo-refused"             // EHLO was refused; with STARTTLSNotSupported
	ReasonPlaintextInjection = "plaintext-after-starttls" // bytes in clear after the reply to STARTTLS
	ReasonNonPublicAddress   = "non-public-address"       // the name points to an address that is not public
	ReasonREQUIRETLS         = "requiretls-not-offered"   // the host does not offer REQUIRETLS
)

// The TLS handshake, with [ValidationFailure].
const (
	ReasonTLSVersion       = "tls-version"         // older than TLS 1.2
	ReasonTLSCipher        = "tls-cipher"          // a cipher suite or group that was not offered
	ReasonTLSDowngrade     = "tls-downgrade"       // the server's hello carries the sign of a forced downgrade
	ReasonTLSSignature     = "tls-signature"       // the handshake is not signed by the certificate's key
	ReasonTLSProtocol      = "tls-protocol-error"  // a message that TLS does not allow there
	ReasonTLSBadRecord     = "tls-bad-record"      // a malformed TLS record
	ReasonNotTLS           = "tls-not-tls"         // the other side answered with something that is not TLS
	ReasonHandshakeTimeout = "handshake-timeout"   // no end of the handshake within the time allowed
	ReasonHandshakeEOF     = "handshake-eof"       // the other side closed the connection
	ReasonHandshakeReset   = "handshake-reset"     // the connection was reset
	ReasonConnectionClosed = "connection-closed"   // our side closed the connection
	ReasonHandshakeMissing = "handshake-not-done"  // the client went on without a handshake
	ReasonCanceled         = "canceled"            // our side gave up
	ReasonLocalConfig      = "local-configuration" // our own TLS configuration cannot work
	ReasonUnknown          = "unknown"             // nothing above
)

// The TXT record and the policy host, with [STSPolicyFetchError].
const (
	ReasonTXTMissing      = "txt-missing"       // the record is gone while a policy is in force
	ReasonTXTMultiple     = "txt-multiple"      // more than one record
	ReasonTXTInvalid      = "txt-invalid"       // a record that cannot be read
	ReasonDNS             = "dns-failure"       // DNS did not answer
	ReasonNoAddress       = "no-address"        // the name exists but has no address
	ReasonConnection      = "connection"        // no TCP connection could be made, or it broke
	ReasonRedirect        = "redirect"          // a redirect, which must not be followed
	ReasonTimeout         = "timeout"           // no complete answer in time
	ReasonContentType     = "content-type"      // not text/plain
	ReasonContentEncoding = "content-encoding"  // compressed, though that was not asked for
	ReasonTooLarge        = "too-large"         // more than 64 KiB
	ReasonNoLength        = "no-content-length" // a body whose end cannot be told from a cut
	ReasonHTTP            = "http-error"        // HTTP that cannot be understood
)

// The policy's text, with [STSPolicyInvalid].
const (
	ReasonEmptyPolicy    = "empty-policy"     // nothing but blanks
	ReasonPolicyTooLarge = "policy-too-large" // a text over 64 KiB
	ReasonUTF16          = "utf-16"           // a text in UTF-16
	ReasonHTML           = "html"             // a web page
	ReasonJSON           = "json"             // JSON, as in an old draft
	ReasonMissingVersion = "missing-version"  // no version line
	ReasonBadVersion     = "bad-version"      // a version other than STSv1
	ReasonMissingMode    = "missing-mode"     // no mode line
	ReasonBadMode        = "bad-mode"         // a mode other than enforce, testing, none
	ReasonMissingMaxAge  = "missing-max-age"  // no max_age line
	ReasonBadMaxAge      = "bad-max-age"      // a max_age that is not 1 to 10 digits
	ReasonMissingMX      = "missing-mx"       // no mx line, and the mode is not none
	ReasonBadMX          = "bad-mx"           // an mx line without the name of a host
)

// A record that cannot be used. What a report says is [ReasonTXTInvalid]; these
// are for the owner of the domain, as are those below, and [Advice] knows them.
const (
	ReasonBadRecord = "bad-record" // a record with a field that is not name=value, or another version
	ReasonMissingID = "missing-id" // a record without id
	ReasonBadID     = "bad-id"     // an id that is not 1 to 32 letters and digits
)

// What is odd about a policy that is used all the same.
const (
	ReasonBadLine           = "bad-line"            // a line that is no field
	ReasonDuplicateField    = "duplicate-field"     // a line whose key was there before
	ReasonTooManyMX         = "too-many-mx"         // more than 1000 mx lines
	ReasonTooManyExtensions = "too-many-extensions" // more than 64 unknown fields
	ReasonMaxAgeCapped      = "max-age-capped"      // a max_age over 31557600
	ReasonByteOrderMark     = "byte-order-mark"     // a byte order mark at the start
	ReasonBlankLine         = "blank-line"          // an empty line
	ReasonIndentedLine      = "indented-line"       // blanks before the key
	ReasonBlankBeforeColon  = "blank-before-colon"  // blanks after the key
	ReasonMoreProblems      = "more-problems"       // the list of problems was cut
)

// The TXT record that asks for reports. These are for the owner of the domain;
// no report shows them.
const (
	ReasonTLSRPTMissing   = "tlsrpt-missing"   // no record
	ReasonTLSRPTMultiple  = "tlsrpt-multiple"  // more than one record
	ReasonTLSRPTInvalid   = "tlsrpt-invalid"   // a field that is not name=value, or another version
	ReasonMissingRUA      = "missing-rua"      // a record without rua
	ReasonBadURI          = "bad-uri"          // a rua that is no URI
	ReasonExclamationMark = "exclamation-mark" // a rua with a "!"
	ReasonURIScheme       = "uri-scheme"       // a rua that is neither mailto nor https
	ReasonBadMailbox      = "bad-mailbox"      // a mailto without an address that mail can be sent to
	ReasonBadEndpoint     = "bad-endpoint"     // an https URI without a DNS name, or with a port, user or fragment
	ReasonDuplicateURI    = "duplicate-uri"    // a rua that was there before
	ReasonTooManyURIs     = "too-many-uris"    // a rua after four good ones
)

const (
	httpPrefix     = "http-"
	starttlsPrefix = "starttls-"
	alertPrefix    = "tls-alert-"
)

// HTTPReason returns the reason for an HTTP status other than 200 and the
// redirects, such as "http-404". A number that is no status gives [ReasonHTTP].
func HTTPReason(status int) string {
	if status < 100 || status > 999 {
		return ReasonHTTP
	}
	return httpPrefix + strconv.Itoa(status)
}

// STARTTLSReason returns the reason for a reply that refused STARTTLS, such as
// "starttls-454"; it comes with [STARTTLSNotSupported]. A number that is no
// reply code gives [ReasonUnknown].
func STARTTLSReason(code int) string {
	if code < 100 || code > 999 {
		return ReasonUnknown
	}
	return starttlsPrefix + strconv.Itoa(code)
}

// AlertReason returns the reason for a TLS alert, sent or received, such as
// "tls-alert-handshake-failure". An alert without a registered name gives its
// number, such as "tls-alert-255".
func AlertReason(alert uint8) string {
	if name, ok := alertNames[alert]; ok {
		return alertPrefix + name
	}
	return alertPrefix + strconv.Itoa(int(alert))
}

// alertNames is the IANA registry "TLS Alerts" with "-" for "_", including the
// reserved numbers that old software still sends. It is never changed.
var alertNames = map[uint8]string{
	0:   "close-notify",
	10:  "unexpected-message",
	20:  "bad-record-mac",
	21:  "decryption-failed",
	22:  "record-overflow",
	30:  "decompression-failure",
	40:  "handshake-failure",
	41:  "no-certificate",
	42:  "bad-certificate",
	43:  "unsupported-certificate",
	44:  "certificate-revoked",
	45:  "certificate-expired",
	46:  "certificate-unknown",
	47:  "illegal-parameter",
	48:  "unknown-ca",
	49:  "access-denied",
	50:  "decode-error",
	51:  "decrypt-error",
	52:  "too-many-cids-requested",
	60:  "export-restriction",
	70:  "protocol-version",
	71:  "insufficient-security",
	80:  "internal-error",
	86:  "inappropriate-fallback",
	90:  "user-canceled",
	100: "no-renegotiation",
	109: "missing-extension",
	110: "unsupported-extension",
	111: "certificate-unobtainable",
	112: "unrecognized-name",
	113: "bad-certificate-status-response",
	114: "bad-certificate-hash-value",
	115: "unknown-psk-identity",
	116: "certificate-required",
	117: "general-error",
	120: "no-application-protocol",
	121: "ech-required",
}

// isReason reports whether s has the form [a-z0-9-]{1,64}.
func isReason(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= maxReason
}

const maxReason = 64
