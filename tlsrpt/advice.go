package tlsrpt

import "strings"

// Advice says in one sentence of plain ASCII what the operator of the failing
// side should do about f. It is "" only for a reason that is not ours.
func Advice(f Failure) string {
	switch {
	case f.Reason == "":
		return adviceByType[f.Type]
	case advice[f.Reason] != "":
		return advice[f.Reason]
	case strings.HasPrefix(f.Reason, alertPrefix):
		return "Look for this TLS alert in the log of the host: one side refused what the other sent in the handshake."
	case strings.HasPrefix(f.Reason, httpPrefix):
		return "Let the policy host answer the request for /.well-known/mta-sts.txt with status 200 and the policy."
	case strings.HasPrefix(f.Reason, starttlsPrefix):
		return "Let the host accept STARTTLS: look in its log for why it refused, often a certificate or key it cannot load."
	}
	return ""
}

// adviceByType is for failures without a reason. It is never changed.
var adviceByType = map[ResultType]string{
	STARTTLSNotSupported:    "Switch STARTTLS on at the host, and make sure that no firewall or proxy strips it from the EHLO reply.",
	CertificateHostMismatch: advice[ReasonHostMismatch],
	CertificateExpired:      advice[ReasonExpired],
	CertificateNotTrusted:   advice[ReasonInvalidChain],
	ValidationFailure:       advice[ReasonUnknown],
	TLSAInvalid:             "Publish at least one TLSA record that is well-formed and usable for SMTP (usage 2 or 3).",
	DNSSECInvalid:           "Repair DNSSEC for the zone: validating resolvers get no answer.",
	DANERequired:            "Publish TLSA records for the host, or ask the sender to lift its demand for DANE.",
	STSPolicyFetchError:     "Make https://mta-sts.<domain>/.well-known/mta-sts.txt answer with status 200 and the policy.",
	STSPolicyInvalid:        "Correct the text of the policy (RFC 8461, section 3.2).",
	STSWebPKIInvalid:        "Install a certificate for mta-sts.<domain> from a public CA on the policy host.",
}

// advice has a sentence for every reason. It is never changed.
var advice = map[string]string{
	ReasonExpired:             "Renew the certificate, and reload the server: it still serves the old one.",
	ReasonHostMismatch:        "Get a certificate that has the host name in question among its DNS names; the common name does not count.",
	ReasonNoSAN:               "Get a certificate with a subjectAltName that holds the host name; the common name does not count.",
	ReasonNotYetValid:         "Wait until the certificate is valid, or set the clocks right.",
	ReasonChainExpired:        "Replace the expired intermediate certificate on the server by the CA's current one.",
	ReasonChainNotYetValid:    "Replace the intermediate certificate on the server by one that is already valid, or set the clocks right.",
	ReasonSelfSigned:          "Replace the self-signed certificate by one from a public CA.",
	ReasonUnknownAuthority:    "Serve the intermediate certificates along with the host's own, and use a public CA.",
	ReasonNameConstraints:     "Get the certificate from a CA that may sign for all names in it.",
	ReasonWrongUsage:          "Get a certificate whose extended key usage allows server authentication.",
	ReasonNotCA:               "Get a certificate that was signed by a CA, not by another host's certificate.",
	ReasonPathLength:          "Serve the CA's own chain: the one served is longer than the CA allows.",
	ReasonCriticalExtension:   "Get a certificate without unusual critical extensions.",
	ReasonWeakSignature:       "Get a certificate that is signed with SHA-256 or better.",
	ReasonWeakKey:             "Get a certificate with an RSA key of at least 2048 bits, or with an ECDSA key.",
	ReasonNoCertificate:       "Install a certificate on the server.",
	ReasonTooManyCertificates: "Serve the host's certificate and its intermediates alone, not a whole bundle of CAs.",
	ReasonBadCertificate:      "Get a certificate from a public CA: this one cannot be read, or has an unusual key.",
	ReasonInvalidChain:        "Serve the host's certificate and its intermediates as the CA delivers them.",
	ReasonNoRoots:             "Install the root certificates (package ca-certificates) on the sending machine.",

	ReasonSTSMXMismatch:      "Name this host in an mx line of the MTA-STS policy and change the id of the record, or remove it from the MX records.",
	ReasonInvalidName:        "Let the MX record name a host: letters, digits and hyphens, without wildcard.",
	ReasonAddress:            "Let the MX record and the policy name a host, not an IP address.",
	ReasonEHLORefused:        "Let the host accept EHLO, without which there is no STARTTLS.",
	ReasonPlaintextInjection: "Look for a proxy or an attacker that adds to the session: nothing may follow the reply to STARTTLS in clear.",
	ReasonNonPublicAddress:   "Publish public addresses for this name.",
	ReasonREQUIRETLS:         "Switch REQUIRETLS (RFC 8689) on at the host.",

	ReasonTLSVersion:       "Switch TLS 1.2 or 1.3 on at the host.",
	ReasonTLSCipher:        "Let the host choose a cipher suite and group that the client offers, such as ECDHE with AES-GCM.",
	ReasonTLSDowngrade:     "Look for a proxy or an attacker that forces an old TLS version.",
	ReasonTLSSignature:     "Make sure that the host's private key belongs to its certificate, and that no proxy changes the handshake.",
	ReasonTLSProtocol:      "Update the TLS software of the host, and look for a proxy that changes the handshake.",
	ReasonTLSBadRecord:     "Update the TLS software of the host, and look for a proxy that changes the handshake.",
	ReasonNotTLS:           "Let the host speak TLS right after its reply to STARTTLS: it sent something else.",
	ReasonHandshakeTimeout: "Look for why the host does not finish the TLS handshake: overload, or a firewall that drops large packets.",
	ReasonHandshakeEOF:     "Look in the host's log for why it closed the connection during the TLS handshake.",
	ReasonHandshakeReset:   "Look for the host or firewall that resets the connection during the TLS handshake.",
	ReasonConnectionClosed: "Nothing to do at the host: the sender closed the connection before TLS was in place.",
	ReasonHandshakeMissing: "Nothing to do at the host: the sender's SMTP client did not complete the TLS handshake.",
	ReasonCanceled:         "Nothing to do at the host: the sender gave up.",
	ReasonLocalConfig:      "Nothing to do at the host: correct the TLS configuration of the sender.",
	ReasonUnknown:          "Look in the sender's log for the error.",

	ReasonTXTMissing:      "Publish the TXT record at _mta-sts.<domain> again; to leave MTA-STS, serve a policy with mode none first.",
	ReasonTXTMultiple:     "Keep one TXT record that begins with v=STSv1 at _mta-sts.<domain>, and remove the others.",
	ReasonTXTInvalid:      "Write the TXT record at _mta-sts.<domain> as: v=STSv1; id=20260101T000000",
	ReasonDNS:             "Make sure that all name servers of the domain answer, and that DNSSEC is in order.",
	ReasonNoAddress:       "Publish an address (A, AAAA or CNAME) for mta-sts.<domain>.",
	ReasonConnection:      "Make sure that the host accepts connections on its port.",
	ReasonRedirect:        "Serve the policy at mta-sts.<domain> itself: redirects must not be followed.",
	ReasonTimeout:         "Let the policy host answer within a few seconds.",
	ReasonContentType:     "Serve the policy with Content-Type: text/plain.",
	ReasonContentEncoding: "Serve the policy without Content-Encoding.",
	ReasonTooLarge:        "Keep the policy below 64 KiB.",
	ReasonNoLength:        "Send a Content-Length with the policy, or the body in chunks.",
	ReasonHTTP:            "Let the policy host speak HTTP/1.1 as it should.",

	ReasonEmptyPolicy:    "Serve the text of the policy: the file is empty.",
	ReasonPolicyTooLarge: "Keep the policy below 64 KiB.",
	ReasonUTF16:          "Save the policy as plain ASCII or UTF-8, not as UTF-16.",
	ReasonHTML:           "Serve the policy as plain text: what is served is a web page.",
	ReasonJSON:           "Write the policy as lines of the form key: value (RFC 8461, section 3.2), not as JSON.",
	ReasonMissingVersion: "Add the line version: STSv1 to the policy; keys are lower-case.",
	ReasonBadVersion:     "Write the version of the policy as: version: STSv1",
	ReasonMissingMode:    "Add a line such as mode: enforce to the policy.",
	ReasonBadMode:        "Write the mode of the policy as enforce, testing or none.",
	ReasonMissingMaxAge:  "Add a line such as max_age: 604800 to the policy.",
	ReasonBadMaxAge:      "Write max_age as a number of seconds of at most 10 digits.",
	ReasonMissingMX:      "Add a line such as mx: mx.example.com for each MX host of the domain.",
	ReasonBadMX:          "Write each mx line as mx: mx.example.com or mx: *.example.com, one name a line, without a dot at the end.",

	ReasonBadRecord:         "Write the TXT record at _mta-sts.<domain> as: v=STSv1; id=20260101T000000",
	ReasonMissingID:         "Add an id to the TXT record at _mta-sts.<domain>, such as id=20260101T000000",
	ReasonBadID:             "Make the id of the TXT record 1 to 32 letters and digits, such as 20260101T000000.",
	ReasonBadLine:           "Remove this line from the policy, or write it as key: value.",
	ReasonDuplicateField:    "Remove the second line with this key: the first one counts.",
	ReasonTooManyMX:         "Name the hosts by wildcards: senders need not read more than 1000 mx lines.",
	ReasonTooManyExtensions: "Remove lines with unknown keys from the policy.",
	ReasonMaxAgeCapped:      "Write a max_age of at most 31557600 seconds.",
	ReasonByteOrderMark:     "Save the policy without a byte order mark: some senders refuse it.",
	ReasonBlankLine:         "Remove the empty line from the policy: some senders refuse it.",
	ReasonIndentedLine:      "Remove the blanks at the start of the line: some senders refuse them.",
	ReasonBlankBeforeColon:  "Remove the blanks before the colon: some senders refuse them.",
	ReasonMoreProblems:      "Repair what is shown first: there is more.",

	ReasonTLSRPTMissing:   "To get reports, publish a TXT record at _smtp._tls.<domain>: v=TLSRPTv1; rua=mailto:tls@<domain>",
	ReasonTLSRPTMultiple:  "Keep one TXT record that begins with v=TLSRPTv1 at _smtp._tls.<domain>, and remove the others.",
	ReasonTLSRPTInvalid:   "Write the TXT record at _smtp._tls.<domain> as: v=TLSRPTv1; rua=mailto:tls@<domain>",
	ReasonMissingRUA:      "Add to the TXT record at _smtp._tls.<domain> where reports shall go, such as rua=mailto:tls@<domain>",
	ReasonBadURI:          "Write the rua as URIs with commas between them, without blanks inside: mailto:tls@<domain>",
	ReasonExclamationMark: "Remove size limits such as !10m from the rua; a ! that belongs to the URI is written %21.",
	ReasonURIScheme:       "Begin each URI of the rua with mailto: or https://; reports go to nothing else.",
	ReasonBadMailbox:      "Write a plain address after mailto:, with a public domain, such as mailto:tls@<domain>",
	ReasonBadEndpoint:     "Write the https URI with a public DNS name, on port 443, without user or fragment.",
	ReasonDuplicateURI:    "Name each URI once: it gets each report once.",
	ReasonTooManyURIs:     "Name at most four URIs: the others get no reports.",
}
