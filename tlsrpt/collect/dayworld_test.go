package collect_test

import (
	"slices"
	"strings"

	"github.com/strictmx/strictmx/strictmxtest"
)

// The recipients of TestAWholeDay: domains on real sockets, each with something else
// right or wrong with its policy, its host and its wish for reports.

// recipient is one domain of that world.
type recipient struct {
	name   string
	domain *strictmxtest.Domain
	host   *strictmxtest.MX
	wish   wish
	lapses bool // its policy becomes a testing one at noon
	deaf   bool // no mail for it arrives, whatever the policy
	// published are the URIs of its record, of all that it had; silent says that
	// DNS does not give it.
	published []string
	silent    bool
	// wants are the mailboxes and URLs that must get the report of the day, once each.
	wants []string
}

const (
	vendorMail  = "in.vendor.test"     // takes mail, as it should
	brokenMail  = "broken.vendor.test" // takes mail, with a policy that its host breaks
	slowMail    = "slow.vendor.test"   // takes mail from seven in the morning on
	vendorHTTPS = "https.vendor.test"
	secondHTTPS = "https.other.test"
	slowHTTPS   = "slow.other.test"   // takes reports from seven in the morning on
	brokenHTTPS = "broken.other.test" // never does
	attackersMX = "mx.attacker.test"
)

// dayPolicies are what a domain can publish. Each names mx.<domain>.
var dayPolicies = []func(w *strictmxtest.World, r *recipient){
	func(_ *strictmxtest.World, r *recipient) { r.publish("enforce") },
	func(_ *strictmxtest.World, r *recipient) { r.publish("testing") },
	func(_ *strictmxtest.World, r *recipient) { r.publish("none") },
	func(*strictmxtest.World, *recipient) {}, // none at all
	func(_ *strictmxtest.World, r *recipient) { r.publish("enforce").Fault(strictmxtest.Status(404)) },
	func(_ *strictmxtest.World, r *recipient) { r.publish("enforced") },
	func(_ *strictmxtest.World, r *recipient) { r.publish("enforce").Certificate(strictmxtest.Expired) },
	func(_ *strictmxtest.World, r *recipient) { // and the first host is one that it does not name
		r.publish("enforce").MX(attackersMX, r.host.Name())
		r.deaf = false // reports go there, too (RFC 8460, section 5.3)
	},
	func(_ *strictmxtest.World, r *recipient) { // RPT-50
		r.publish("enforce")
		r.lapses = true
	},
}

func (r *recipient) publish(mode string) *strictmxtest.Domain {
	return r.domain.Policy(strictmxtest.PolicyText(mode, r.host.Name()))
}

// hostState is what is right or wrong with a host.
type hostState struct {
	fault strictmxtest.MXFault
	cert  strictmxtest.Certificate
}

// dayHosts are all that can be right or wrong with a host, but for what hangs: that
// takes minutes.
func dayHosts() (all []hostState) {
	for _, f := range strictmxtest.MXFaults() {
		if f != strictmxtest.HangBeforeGreeting && f != strictmxtest.HangAfter220 {
			all = append(all, hostState{fault: f})
		}
	}
	for _, c := range strictmxtest.Certificates() {
		all = append(all, hostState{cert: c})
	}
	return all
}

// takesMail reports whether mail arrives, with TLS or without.
func (h hostState) takesMail() bool {
	name := h.fault.String()
	for _, no := range []string{"connection refused", "close after greeting", "close after EHLO", "endless", "greeting", "drop after", "close in DATA", "MAIL", "RCPT", "DATA", "message"} {
		if strings.HasPrefix(name, no) {
			return false
		}
	}
	return true
}

// wish is whether and where a domain wants its reports.
type wish struct {
	name string
	// morning and noon change the domain; noon may be nil. They return the URIs
	// published then.
	morning, noon func(*strictmxtest.World, *recipient) []string
	// wants picks those that must get a report, mailboxes decoded; nil: all.
	wants func(published []string) []string
}

func record(rua ...string) func(*strictmxtest.World, *recipient) []string {
	return func(_ *strictmxtest.World, r *recipient) []string {
		var all []string
		for _, uri := range rua {
			all = append(all, strings.ReplaceAll(uri, "NAME", r.name))
		}
		r.domain.TLSRPT(all...)
		return all
	}
}

// silence makes DNS fail for the record, or ends that.
func silence(f strictmxtest.DNSFault) func(*strictmxtest.World, *recipient) []string {
	return func(w *strictmxtest.World, r *recipient) []string {
		w.DNS.Fault("_smtp._tls."+r.name, "TXT", f)
		r.silent = f != strictmxtest.None
		return nil
	}
}

func inOrder(steps ...func(*strictmxtest.World, *recipient) []string) func(*strictmxtest.World, *recipient) []string {
	return func(w *strictmxtest.World, r *recipient) (all []string) {
		for _, step := range steps {
			all = append(all, step(w, r)...)
		}
		return all
	}
}

func without(part string) func([]string) []string {
	return func(published []string) []string {
		return slices.DeleteFunc(published, func(uri string) bool { return strings.Contains(uri, part) })
	}
}

var wishes = []wish{
	{name: "by mail, at the domain's own host", morning: record("mailto:tls@NAME")}, // RPT-107, RPT-108
	{name: "by mail, at a vendor", morning: record("mailto:NAME@" + vendorMail)},
	{name: "by mail, at a vendor whose host breaks its policy", morning: record("mailto:NAME@" + brokenMail)},
	{name: "by mail, to an odd address", morning: record("mailto:tls%2Breports%21@" + vendorMail + "?subject=x"), // RPT-10, RPT-19
		wants: func([]string) []string { return []string{"mailto:tls+reports!@" + vendorMail} }},
	{name: "by HTTPS", morning: record("https://" + vendorHTTPS + "/NAME")},
	{name: "by both", morning: record("https://"+vendorHTTPS+"/NAME", "mailto:NAME@"+vendorMail)},
	{name: "four times", morning: record("https://"+vendorHTTPS+"/NAME", "https://"+secondHTTPS+"/NAME", "mailto:NAME@"+vendorMail, "mailto:two@"+brokenMail)},
	{name: "by a host that never answers well, and by mail", morning: record("https://"+brokenHTTPS+"/NAME", "mailto:NAME@"+vendorMail), wants: without(brokenHTTPS)}, // RPT-18
	{name: "by a host that answers later", morning: record("https://" + slowHTTPS + "/NAME")},
	{name: "by mail to a host that takes it later", morning: record("mailto:NAME@" + slowMail)},
	{name: "elsewhere from noon on", morning: record("mailto:NAME@" + vendorMail), noon: record("https://" + secondHTTPS + "/NAME")},                          // R17
	{name: "DNS is silent from noon on", morning: record("mailto:NAME@" + vendorMail), noon: silence(strictmxtest.ServFail)},                                  // AMB-35
	{name: "DNS is silent until noon", morning: inOrder(record("mailto:NAME@"+vendorMail), silence(strictmxtest.ServFail)), noon: silence(strictmxtest.None)}, // RPT-23
	{name: "with URIs that are none among them", morning: record("ftp://files.vendor.test/", "mailto:a@localhost", "https://"+vendorHTTPS+"/NAME", "mailto:x@y!10m"), // RPT-12
		wants: func(published []string) []string { return published[2:3] }},
	{name: "not at all", morning: record()}, // RPT-20
}

// settle makes the world of a recipient, the i-th of all: policies, hosts and
// wishes meet in as many ways as there is room for.
func (r *recipient) settle(w *strictmxtest.World, i int) (published []string) {
	r.domain, r.host = w.Domain(r.name), w.MX("mx."+r.name)
	r.domain.MX(r.host.Name())
	hosts := dayHosts()
	state := hosts[i%len(hosts)]
	r.host.Fault(state.fault).Certificate(state.cert)
	r.deaf = !state.takesMail()
	dayPolicies[(i+i/len(hosts))%len(dayPolicies)](w, r)
	r.wish = wishes[(i*7+i/9)%len(wishes)]
	return r.wish.morning(w, r)
}

// choose picks who must get a report of what was published.
func (r *recipient) choose() {
	if r.wants = r.published; r.wish.wants != nil {
		r.wants = r.wish.wants(r.published)
	}
	if r.deaf {
		r.wants = without("tls@" + r.name)(r.wants)
	}
}
