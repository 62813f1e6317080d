package outbound

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/smtp"
	"slices"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/mtasts"
)

var propertySeed = flag.Uint64("property.seed", 0, "run one schedule of the property test and show it")

// schedule is a random sender before a random host.
type schedule struct {
	known     mtasts.Result
	mode      mtasts.Mode // "" for no policy
	mx        string
	behaviour string
	kind      kind
	old       bool // TLS 1.1 and less
	delivery  Delivery
	exception Exception
	lax       bool
	by        string // connect, starttls, reuse
}

var behaviours = map[string]func(*host){
	"honest": func(*host) {}, "no STARTTLS": noTLSOffered, "stripped": stripped, "HELO": heloNeeded,
	"454": refuses, "502": refusesEver, "421": hangsUpOnIt, "closes on STARTTLS": closesOnSTLS,
	"injects": injects, "garbage": garbage, "closes after 220": closesAfter, "alert": noCipher,
}

// behaviourNames has the honest one more often, so that enough is delivered.
var behaviourNames = append(slices.Sorted(maps.Keys(behaviours)), "honest", "honest", "honest")

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func newSchedule(seed uint64) schedule {
	r := rand.New(rand.NewPCG(seed, 1))
	s := schedule{
		mx:        pick(r, "mx.example.com", "mx.example.com", "mx.evil.test", "host.mail.test", "8.8.4.4"),
		behaviour: pick(r, behaviourNames...),
		kind:      pick(r, kinds...),
		old:       r.IntN(8) == 0,
		delivery:  Delivery{Domain: "example.com", RequireTLS: r.IntN(5) == 0, TLSRequiredNo: r.IntN(5) == 0, Report: r.IntN(8) == 0},
		exception: pick(r, NoException, NoException, NoException, Ignore, Verify),
		lax:       r.IntN(3) == 0,
		by:        pick(r, "connect", "connect", "starttls", "reuse"),
	}
	if s.by == "starttls" && s.behaviour == "injects" {
		s.behaviour = "honest" // net/smtp throws away what is injected, and nobody can see it
	}
	switch r.IntN(7) {
	case 0, 1, 2:
		s.known, s.mode = enforcing(), mtasts.ModeEnforce
	case 3:
		s.known, s.mode = testingMX(), mtasts.ModeTesting
	case 4:
		s.known, s.mode = modeNone(), mtasts.ModeNone
	case 5:
		s.known = failedOnce
	}
	return s
}

// asksForTLS is the oracle: whether anybody may hold this mail back for the sake
// of TLS, in the words of the RFCs and not in those of Plan.decide.
func (s schedule) asksForTLS() bool {
	if s.delivery.RequireTLS {
		return true
	}
	if s.delivery.Report {
		return false
	}
	if s.exception == Verify {
		return true
	}
	return s.mode == mtasts.ModeEnforce && s.exception != Ignore && !s.delivery.TLSRequiredNo
}

// proper says whether the host is one that the policy names and that proves
// itself; cert is what its certificate is issued for.
func (s schedule) proper() bool {
	named := s.mx == "mx.example.com" || s.mx == "host.mail.test"
	if s.mode == mtasts.ModeNone || s.mode == "" {
		named = !s.delivery.RequireTLS && s.mx != "8.8.4.4" // nobody names anybody; Verify alone asks for proof
	}
	return named && s.kind == good && !s.old && s.behaviour == "honest"
}

// I1, I2, I13: whatever comes together, no DATA reaches a host that does not
// prove itself where that is asked for, all else is delivered, and each session
// is told once.
func TestNoDataWithoutProof(t *testing.T) {
	n := uint64(3000)
	if testing.Short() {
		n = 300
	}
	delivered := map[string]int{}
	for seed := range n {
		if *propertySeed != 0 {
			seed = *propertySeed
			t.Logf("%+v", newSchedule(seed))
		}
		got := newSchedule(seed).run(t, seed)
		delivered[got]++
		if t.Failed() || *propertySeed != 0 {
			t.Fatalf("seed %d: -property.seed=%d shows it", seed, seed)
		}
	}
	t.Log(delivered)
	for _, how := range []string{"tls", "clear", "refused"} {
		if delivered[how] < int(n)/20 {
			t.Errorf("%s: %d of %d: that proves little", how, delivered[how], n)
		}
	}
}

func (s schedule) run(t *testing.T, seed uint64) string {
	name := s.mx
	if name == "8.8.4.4" {
		name = "mx.example.com"
	}
	h := newHost(name, s.kind)
	behaviours[s.behaviour](h)
	if s.old && s.behaviour == "honest" {
		tls11(h)
	}
	e, seen := sender(s.known)
	e.Exception = func(string) Exception { return s.exception }
	if s.lax {
		laxBase(e.TLSConfig)
	}
	p, err := e.Plan(t.Context(), s.delivery)
	if err != nil {
		t.Fatal(err)
	}
	sess, err := p.Session(t.Context(), s.mx)
	if err == nil {
		err = s.deliver(t, sess, h)
	}
	h.wg.Wait()
	_, mail := h.got()
	if err == nil != (len(mail) == 1) {
		t.Errorf("error %v, and the host got %q", err, mail)
	}
	if s.asksForTLS() {
		if len(mail) > 0 && (!s.proper() || !strings.HasPrefix(mail[0], "tls")) {
			t.Errorf("I1: the host got %q", mail)
		}
		if err != nil && s.proper() {
			t.Errorf("a proper host was refused: %v", err)
		}
	} else if err != nil {
		t.Errorf("I2: held back: %v", err)
	}
	if err != nil && !asError(t, err).Temporary() {
		t.Errorf("I11: permanent: %v", err)
	}
	want := 1
	if s.delivery.Report || s.by == "reuse" && sess != nil || sess == nil && !p.judged {
		want = 0
	}
	if n := len(seen.list()); n != want {
		t.Errorf("I13: %d events, want %d", n, want)
	}
	switch {
	case err != nil:
		return "refused"
	case strings.HasPrefix(mail[0], "tls"):
		return "tls"
	}
	return "clear"
}

// deliver hands one message over, the way the schedule says.
func (s schedule) deliver(t *testing.T, sess *Session, h *host) error {
	switch s.by {
	case "starttls":
		return s.startTLS(t, sess, h)
	case "reuse":
		return s.reuse(t, sess, h)
	}
	conn, err := sess.Connect(t.Context(), h.dial)
	if err == nil {
		send(t, conn)
	}
	return err
}

func (s schedule) startTLS(t *testing.T, sess *Session, h *host) error {
	conn, _ := h.dial(t.Context())
	c, err := smtp.NewClient(conn, "mx.example.com")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = sess.StartTLS(c)
	if err == ErrRetryInClear {
		conn, _ = h.dial(t.Context())
		if c, err = smtp.NewClient(conn, "mx.example.com"); err != nil {
			t.Fatal(err)
		}
	}
	if err == nil {
		transact(t, c)
	}
	return err
}

// reuse takes a connection that was made for a domain without a policy.
func (s schedule) reuse(t *testing.T, sess *Session, h *host) error {
	lax, _ := sender(none)
	laxBase(lax.TLSConfig)
	other := session(t, lax, deliverTo, s.mx)
	conn, err := other.Connect(t.Context(), h.dial)
	if err != nil {
		t.Fatal(err)
	}
	cs, _ := conn.ConnectionState()
	if err := sess.Reuse(cs); err != nil {
		conn.Close()
		return err
	}
	send(t, conn)
	return nil
}

// R14, L2: what a client claims is judged, whatever it claims.
func TestDoneNeverTrustsAClaim(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 2))
		k := pick(r, kinds...)
		cs := state(pick(r, uint16(tls.VersionTLS10), tls.VersionTLS12, tls.VersionTLS13), k)
		cs.HandshakeComplete = r.IntN(2) == 0
		if r.IntN(4) == 0 {
			cs.PeerCertificates = nil
		}
		err := pick(r, nil, nil, smtpError(454), alert(), errors.New("what?"))
		e, _ := sender(enforcing())
		s := session(t, e, deliverTo, "mx.example.com")
		if r.IntN(2) == 0 {
			s.TLSConfig().VerifyConnection(state(tls.VersionTLS13, good)) // of another connection
		}
		got := s.Done(cs, err)
		proper := cs.HandshakeComplete && k == good && len(cs.PeerCertificates) > 0 && cs.Version >= tls.VersionTLS12 && !isAlert(err)
		if (got == nil) != proper && !(proper && err != nil) {
			t.Fatalf("seed %d: Done(%+v, %v) = %v", seed, describeState(cs), err, got)
		}
		if (s.Level() == Verified) != (got == nil) {
			t.Fatalf("seed %d: level %v, error %v", seed, s.Level(), got)
		}
	}
}

func describeState(cs tls.ConnectionState) string {
	return fmt.Sprintf("complete %v, version %x, %d certificates", cs.HandshakeComplete, cs.Version, len(cs.PeerCertificates))
}
