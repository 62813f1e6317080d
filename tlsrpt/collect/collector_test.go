package collect

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

func TestSessionsAreCountedByPolicy(t *testing.T) {
	none := func(domain string) *tlsrpt.Policy { return &tlsrpt.Policy{Type: tlsrpt.NoPolicyFound, Domain: domain} }
	enforced, testing_ := enforce("example.com"), enforce("example.com")
	testing_.Strings = slices.Clone(testing_.Strings)
	testing_.Strings[1] = "mode: testing"
	for _, tt := range []struct {
		name   string
		events []tlsrpt.Event
		want   []tlsrpt.Summary
	}{
		{"ten good sessions are ten successes", slices.Repeat([]tlsrpt.Event{session("example.com", enforced)}, 10), []tlsrpt.Summary{{Successful: 10}}}, // RPT-25
		{"a session that failed under testing mode is a failure, though the mail went out",
			[]tlsrpt.Event{session("example.com", testing_, expired)}, []tlsrpt.Summary{{Failed: 1}}}, // RPT-26
		{"two things wrong with one session are one failed session",
			[]tlsrpt.Event{session("example.com", enforced, expired, mismatch)}, []tlsrpt.Summary{{Failed: 1}}}, // RPT-27
		{"sessions are counted, not messages: an event is one, whatever went over it",
			[]tlsrpt.Event{session("example.com", enforced)}, []tlsrpt.Summary{{Successful: 1}}}, // RPT-47
		{"the same policy is one entry whatever its pointer",
			[]tlsrpt.Event{session("example.com", enforce("example.com")), session("example.com", enforce("example.com"), expired)},
			[]tlsrpt.Summary{{Successful: 1, Failed: 1}}}, // RPT-50
		{"a policy that changed at noon is two entries",
			[]tlsrpt.Event{session("example.com", enforced), session("example.com", testing_), session("example.com", testing_)},
			[]tlsrpt.Summary{{Successful: 1}, {Successful: 2}}}, // RPT-50
		{"the type tells policies apart",
			[]tlsrpt.Event{session("example.com", &tlsrpt.Policy{Type: tlsrpt.STS, Domain: "example.com"}), session("example.com", none("example.com"))},
			[]tlsrpt.Summary{{Successful: 1}, {Successful: 1}}}, // RPT-50
		{"so does the policy domain, as with TLSA of two hosts",
			[]tlsrpt.Event{
				session("example.com", &tlsrpt.Policy{Type: tlsrpt.TLSA, Domain: "mx1.example.com", Strings: []string{"3 1 1 00"}}),
				session("example.com", &tlsrpt.Policy{Type: tlsrpt.TLSA, Domain: "mx2.example.com", Strings: []string{"3 1 1 00"}}),
				session("example.com", &tlsrpt.Policy{Type: tlsrpt.TLSA, Domain: "mx2.example.com", Strings: []string{"3 1 1 00"}}),
			},
			[]tlsrpt.Summary{{Successful: 1}, {Successful: 2}}}, // RPT-50
		{"each policy in force counts the session",
			[]tlsrpt.Event{{Time: noon, Domain: "example.com", Outcomes: []tlsrpt.Outcome{{Policy: enforced, Failures: []tlsrpt.Failure{mismatch}},
				{Policy: &tlsrpt.Policy{Type: tlsrpt.TLSA, Domain: "mx.example.com"}}}}},
			[]tlsrpt.Summary{{Failed: 1}, {Successful: 1}}}, // RPT-28
		{"spellings of a domain are one domain",
			[]tlsrpt.Event{session("Example.COM.", enforced), session("example.com", enforced)}, []tlsrpt.Summary{{Successful: 2}}}, // R22
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCollector()
			for _, e := range tt.events {
				c.Observe(e)
			}
			tally := only(t, c)
			var got []tlsrpt.Summary
			for _, p := range tally.Policies {
				got = append(got, p.Summary)
			}
			if !slices.Equal(got, tt.want) || tally.Sessions != int64(len(tt.events)) || tally.Domain != "example.com" {
				t.Errorf("got %+v, %d sessions; want %+v", got, tally.Sessions, tt.want)
			}
			sum(t, c)
		})
	}
}

// The policy in a tally is the one that was applied, as it was served (RPT-121).
func TestThePolicyIsShownAsServed(t *testing.T) {
	for _, p := range []*tlsrpt.Policy{
		enforce("example.com"),
		{Type: tlsrpt.STS, Domain: "example.com"},
		{Type: tlsrpt.STS, Domain: "smart.host.test", Strings: []string{"", "mode: none"}},
		{Type: tlsrpt.STS, Domain: "example.com", Strings: []string{"mode: enforced", "", "mx:ü"}}, // RPT-122: no valid policy
		{Type: tlsrpt.NoPolicyFound, Domain: "example.com"},
		{Type: tlsrpt.TLSA, Domain: "mx.example.com", Strings: []string{"3 1 1 0011", "2 0 1 ff"}},
	} {
		c := newCollector()
		c.Observe(session("example.com", p, tlsrpt.Failure{Type: tlsrpt.STSPolicyInvalid, Reason: tlsrpt.ReasonBadMode}))
		if got := only(t, c).Policies[0].Policy; !reflect.DeepEqual(got, *p) {
			t.Errorf("got  %#v\nwant %#v", got, *p)
		}
	}
}

// RPT-49
func TestFailuresAreCountedByAllThatIsKnownOfThem(t *testing.T) {
	c, p := newCollector(), enforce("example.com")
	base := session("example.com", p, selfSigned)
	variants := []tlsrpt.Event{base}
	for _, change := range []func(*tlsrpt.Event){
		func(e *tlsrpt.Event) { e.MXHost = "mx2.example.com" },
		func(e *tlsrpt.Event) { e.HELO = "other.example.com" },
		func(e *tlsrpt.Event) { e.SendingIP = theirIP },
		func(e *tlsrpt.Event) { e.ReceivingIP = ourIP },
		func(e *tlsrpt.Event) { *e = session("example.com", p, expired) },
		func(e *tlsrpt.Event) {
			*e = session("example.com", p, tlsrpt.Failure{Type: tlsrpt.CertificateNotTrusted, Reason: tlsrpt.ReasonNotCA})
		},
		func(e *tlsrpt.Event) {
			*e = session("example.com", p, tlsrpt.Failure{Type: tlsrpt.CertificateNotTrusted, Reason: tlsrpt.ReasonSelfSigned, Info: "https://example.org/help"})
		},
	} {
		e := base
		change(&e)
		variants = append(variants, e)
	}
	for range 100 {
		for _, e := range variants {
			c.Observe(e)
		}
	}
	result := only(t, c).Policies[0]
	if result.Summary.Failed != int64(100*len(variants)) || len(result.Failures) != len(variants) {
		t.Fatalf("%+v", result)
	}
	want := tlsrpt.FailureDetail{
		Type: tlsrpt.CertificateNotTrusted, Reason: tlsrpt.ReasonSelfSigned, MXHost: "mx.example.com", HELO: "mx.example.com",
		SendingIP: ourIP, ReceivingIP: theirIP, Sessions: 100,
	}
	if result.Failures[0] != want {
		t.Errorf("got  %+v\nwant %+v", result.Failures[0], want)
	}
	for _, d := range result.Failures {
		if d.Sessions != 100 {
			t.Errorf("%+v", d)
		}
	}
}

// One session adds to a detail once, and to as many as went wrong (RPT-27).
func TestASessionIsInADetailOnce(t *testing.T) {
	c := newCollector()
	c.Observe(session("example.com", enforce("example.com"), expired, mismatch, expired))
	result := only(t, c).Policies[0]
	if len(result.Failures) != 2 || result.Failures[0].Sessions != 1 || result.Failures[1].Sessions != 1 || result.Summary.Failed != 1 {
		t.Errorf("%+v", result)
	}
}

// RPT-46
func TestTheDayIsInUTC(t *testing.T) {
	midnight := time.Date(2026, 5, 15, 0, 0, 0, 0, time.UTC)
	tokyo := time.FixedZone("", 9*60*60)
	c := newCollector()
	for _, when := range []time.Time{midnight.Add(-100 * time.Millisecond), midnight, midnight.Add(-time.Hour).In(tokyo)} {
		e := session("example.com", enforce("example.com"))
		e.Time = when
		c.Observe(e)
	}
	want := []time.Time{midnight.AddDate(0, 0, -1), midnight}
	if got := c.Days(); !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i, sessions := range []int64{2, 1} {
		for tally := range c.Tallies(want[i].Add(5 * time.Hour)) {
			if tally.Sessions != sessions || tally.Day != want[i] {
				t.Errorf("%+v", tally)
			}
		}
	}
	if d := dayOf(time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC)); d != -1 || dayOf(time.Unix(0, 0)) != 0 || dayOf(time.Unix(-86400, 0)) != -1 {
		t.Errorf("the last second before 1970 is in day %d", d)
	}
}

func TestWhatIsOutOfPlaceIsCounted(t *testing.T) {
	c := newCollector()
	at := func(d time.Duration) tlsrpt.Event {
		e := session("example.com", enforce("example.com"))
		e.Time = noon.Add(d)
		return e
	}
	for _, e := range []tlsrpt.Event{at(49 * time.Hour), at(-49 * time.Hour), {Domain: "example.com", Outcomes: at(0).Outcomes}} {
		c.Observe(e)
	}
	for _, e := range []tlsrpt.Event{
		session("not a domain", enforce("example.com")), session("", enforce("example.com")), session("192.0.2.1", enforce("example.com")),
		session("example.com", nil), session("example.com", &tlsrpt.Policy{Type: "mine"}), {Time: noon, Domain: "example.com"},
	} {
		c.Observe(e)
	}
	if st := sum(t, c); st.Misdated != 3 || st.Malformed != 6 || st.Seen != 9 || len(c.Days()) != 0 {
		t.Errorf("%+v", st)
	}
	c.Observe(at(47 * time.Hour))
	c.Observe(at(-47 * time.Hour))
	if st := sum(t, c); st.Held != 2 {
		t.Errorf("%+v", st)
	}
}

func TestASealedDayGrowsNoMore(t *testing.T) {
	c, e := newCollector(), session("example.com", enforce("example.com"))
	c.Observe(e)
	c.seal(noon)
	c.seal(noon)
	c.Observe(e)
	e.Domain = "new.example"
	c.Observe(e)
	if st := sum(t, c); st.Held != 1 || st.Late != 2 {
		t.Errorf("%+v", st)
	}
	e.Time = noon.AddDate(0, 0, 1)
	c.Observe(e)
	if st := sum(t, c); st.Held != 2 || len(c.Days()) != 2 {
		t.Errorf("%+v", st)
	}
	if n := c.drop(noon, "example.com"); n != 1 {
		t.Errorf("%d sessions dropped", n)
	}
	if n := c.drop(noon, "example.com"); n != 0 {
		t.Errorf("%d sessions dropped a second time", n)
	}
	if st := sum(t, c); st.Released != 1 || len(c.Days()) != 1 {
		t.Errorf("%+v", st)
	}
	if _, ok := c.tally(noon, "example.com"); ok {
		t.Error("a tally that was dropped is still there")
	}
	for i := range 100 { // whatever the clock does, it takes no room
		c.seal(noon.AddDate(0, 0, i))
	}
	if n := len(c.shards[0].sealed); n != maxSealedDays {
		t.Errorf("%d days are sealed", n)
	}
}

// A tally is a copy: nobody who has it sees it change (I20), and it survives JSON.
func TestATallyIsPlainData(t *testing.T) {
	c := newCollector()
	c.Observe(session("example.com", enforce("example.com"), selfSigned))
	before := only(t, c)
	b, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	c.Observe(session("example.com", enforce("example.com"), selfSigned))
	var back Tally
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, before) {
		t.Errorf("got  %+v, %v\nwant %+v", back, err, before)
	}
	for range c.Tallies(noon) {
		break // and a loop may end early
	}
}

// RPT-52
func TestTheSendingAddressCanBeLeftOut(t *testing.T) {
	c := newCollector()
	c.MaskSendingIP = true
	c.Observe(session("example.com", enforce("example.com"), selfSigned))
	if d := only(t, c).Policies[0].Failures[0]; d.SendingIP.IsValid() || d.ReceivingIP != theirIP {
		t.Errorf("%+v", d)
	}
}

// R17(c)
func TestConnectedMeansThatAServerAnswered(t *testing.T) {
	validation := func(reason string) tlsrpt.Failure {
		return tlsrpt.Failure{Type: tlsrpt.ValidationFailure, Reason: reason}
	}
	for _, tt := range []struct {
		name string
		e    tlsrpt.Event
		want bool
	}{
		{"a policy that could not be fetched proves no server", session("example.com", enforce("example.com"), tlsrpt.Failure{Type: tlsrpt.STSPolicyFetchError, Reason: tlsrpt.ReasonDNS}), false},
		{"nor does a certificate of the policy host", session("example.com", enforce("example.com"), tlsrpt.Failure{Type: tlsrpt.STSWebPKIInvalid, Reason: tlsrpt.ReasonExpired}), false},
		{"nor does a host that the policy does not name", session("example.com", enforce("example.com"), validation(tlsrpt.ReasonSTSMXMismatch)), false}, // RPT-53
		{"nor does an address that is not public", session("example.com", enforce("example.com"), validation(tlsrpt.ReasonNonPublicAddress)), false},
		{"a satisfied policy does", session("example.com", enforce("example.com")), true},
		{"the lack of STARTTLS does", session("example.com", enforce("example.com"), tlsrpt.Failure{Type: tlsrpt.STARTTLSNotSupported}), true},
		{"a certificate does", session("example.com", enforce("example.com"), selfSigned), true},
		{"an alert does", session("example.com", enforce("example.com"), validation(tlsrpt.AlertReason(40))), true},
		{"a broken handshake does", session("example.com", enforce("example.com"), validation(tlsrpt.ReasonHandshakeEOF)), true},
		{"plaintext after STARTTLS does", session("example.com", enforce("example.com"), validation(tlsrpt.ReasonPlaintextInjection)), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCollector()
			withName, withAddress := tt.e, tt.e
			tt.e.HELO, tt.e.ReceivingIP = "", netip.Addr{}
			withName.ReceivingIP, withAddress.HELO = netip.Addr{}, ""
			c.Observe(tt.e)
			if got := only(t, c).Connected; got != tt.want {
				t.Errorf("Connected = %v", got)
			}
			for _, e := range []tlsrpt.Event{withName, withAddress} {
				c := newCollector()
				c.Observe(e)
				if !only(t, c).Connected {
					t.Error("the server's name or address says that there was one")
				}
			}
		})
	}
}
