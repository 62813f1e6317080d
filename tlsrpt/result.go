package tlsrpt

// ResultType is what went wrong, in the words of the IANA registry "STARTTLS
// Validation Result Types" (RFC 8460, sections 4.3 and 6.6). We emit the
// eleven below and nothing else, those of DANE not yet; a reader keeps others as
// they are.
type ResultType string

// The registered result types.
const (
	// STARTTLSNotSupported: no STARTTLS keyword, HELO only, or the STARTTLS command refused (section 4.3.1).
	STARTTLSNotSupported ResultType = "starttls-not-supported"
	// CertificateHostMismatch: no SAN of the certificate names the MX host (section 4.3.1).
	CertificateHostMismatch ResultType = "certificate-host-mismatch"
	// CertificateExpired: the leaf's notAfter has passed (section 4.3.1).
	CertificateExpired ResultType = "certificate-expired"
	// CertificateNotTrusted: any other certificate failure; the reason says which (section 4.3.1).
	CertificateNotTrusted ResultType = "certificate-not-trusted"
	// ValidationFailure: anything that fits no other type; always with a reason (section 4.3.3).
	ValidationFailure ResultType = "validation-failure"
	// TLSAInvalid: no TLSA record of the set is usable (section 4.3.2.1).
	TLSAInvalid ResultType = "tlsa-invalid"
	// DNSSECInvalid: the resolver gave no valid records on the DANE path (section 4.3.2.1).
	DNSSECInvalid ResultType = "dnssec-invalid"
	// DANERequired: the sender demands DANE and the MX host has none (section 4.3.2.1).
	DANERequired ResultType = "dane-required"
	// STSPolicyFetchError: the policy could not be retrieved (section 4.3.2.2).
	STSPolicyFetchError ResultType = "sts-policy-fetch-error"
	// STSPolicyInvalid: the policy was retrieved and is no valid policy (section 4.3.2.2).
	STSPolicyInvalid ResultType = "sts-policy-invalid"
	// STSWebPKIInvalid: the policy host's certificate did not verify (section 4.3.2.2).
	STSWebPKIInvalid ResultType = "sts-webpki-invalid"
)

// PolicyType is the kind of policy that a session was judged by (RFC 8460,
// section 4.4).
type PolicyType string

// The policy types.
const (
	// STS: an MTA-STS policy (RFC 8461).
	STS PolicyType = "sts"
	// TLSA: a set of DANE TLSA records (RFC 7672).
	TLSA PolicyType = "tlsa"
	// NoPolicyFound: neither.
	NoPolicyFound PolicyType = "no-policy-found"
)
