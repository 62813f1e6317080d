package adversary

// wires says what happens on each wire: one strategy each, for a whole window.
// A fault drawn anew for each packet is weaker than a plan that is kept to.
type wires struct {
	dns   dnsWire
	https httpsWire
	smtp  smtpWire
}

func (w wires) honest() bool { return w == wires{} }

func (w wires) String() string {
	return "dns " + w.dns.String() + ", https " + w.https.String() + ", smtp " + w.smtp.String()
}

type dnsWire uint8

const (
	dnsHonest    dnsWire = iota
	dnsSlow              // honest, but late
	dnsDenied            // the record does not exist, for an hour
	dnsGarbled           // records that are none, or two
	dnsForged            // another id each time
	dnsPredicted         // the id that the owner will take next
	dnsFailing           // SERVFAIL
	dnsSilent            // nothing at all
	dnsPanics            // our own resolver breaks
	dnsMixed             // any of these
)

func (w dnsWire) String() string {
	return [...]string{"honest", "slow", "denied", "garbled", "forged ids", "predicted id", "failing", "silent", "panics", "mixed"}[w]
}

type httpsWire uint8

const (
	httpsHonest  httpsWire = iota
	httpsSlow              // honest, but late
	httpsCut               // no connection
	httpsReset             // broken off in the body
	httpsHeld              // held until we give up
	httpsDripped           // the body comes too slowly
	httpsSteered           // led to the former provider, whose certificate is valid
	httpsPanics            // our own transport breaks
	httpsMixed             // any of these
)

func (w httpsWire) String() string {
	return [...]string{"honest", "slow", "cut", "reset", "held", "dripped", "steered", "panics", "mixed"}[w]
}

type smtpWire uint8

const (
	smtpHonest    smtpWire = iota
	smtpStripped           // no STARTTLS in the reply to EHLO
	smtpRefused            // 454 to STARTTLS
	smtpCut                // broken off after STARTTLS
	smtpBanner             // 554 for a greeting
	smtpEndless            // a greeting without end
	smtpMITM               // a certificate of the attacker's own making
	smtpStolen             // the host's certificate, without its key
	smtpElsewhere          // MX records that name the attacker's host, which has a valid certificate
	smtpDenied             // no MX records
	smtpMixed              // any of these
)

func (w smtpWire) String() string {
	return [...]string{"honest", "stripped", "refused", "cut", "banner", "endless", "MITM", "stolen", "elsewhere", "denied", "mixed"}[w]
}

func drawWires(d dice, l layer) wires {
	var w wires
	for w.honest() {
		if d.chance(65) {
			w.dns = drawDNS(d)
		}
		if d.chance(65) {
			w.https = drawHTTPS(d)
		}
		if l == layerDelivery && d.chance(80) {
			w.smtp = drawSMTP(d)
		}
	}
	return w
}

func drawDNS(d dice) dnsWire {
	return pick(d, dnsSlow, dnsDenied, dnsDenied, dnsGarbled, dnsForged, dnsForged, dnsPredicted, dnsPredicted,
		dnsFailing, dnsFailing, dnsSilent, dnsMixed, dnsPanics)
}

func drawHTTPS(d dice) httpsWire {
	return pick(d, httpsSlow, httpsCut, httpsCut, httpsCut, httpsReset, httpsHeld, httpsDripped, httpsSteered, httpsSteered,
		httpsMixed, httpsPanics)
}

func drawSMTP(d dice) smtpWire { return smtpStripped + smtpWire(d.IntN(int(smtpMixed))) }
