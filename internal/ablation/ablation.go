// Package ablation switches off the rules that the library keeps, one at a
// time, for the simulation in internal/adversary to find out: a simulation that
// does not notice a missing rule proves nothing about it.
//
// Without the build tag ablation nothing can be switched off: Off is false, Kept
// is its second argument, and the compiler leaves nothing of either.
package ablation

// Rule is a rule that some line keeps.
type Rule uint8

// The rules, by their numbers in the design where they have one.
const (
	None           Rule = iota
	Renewal             // R1: a policy is fetched again in good time
	RenewalAtEnd        // R1: tries come closer when a policy is about to expire
	AbsenceShort        // R2: an absence is short where a policy lapsed lately
	AbsenceBeside       // R2: a denial seen while a policy is held is no absence
	BackOff             // R3: five minutes, where nothing protects
	LastLook            // R4: no failure hides a fresh policy
	Budget              // R7: GETs for a domain
	RefreshShared       // R7: one look for all Refreshes of 30 seconds
	CheckFloor          // R8: id checks are a minute apart
	SilenceKept         // R8: that DNS did not answer is remembered
	StandIn             // R8: the last policy stands in while no GET may be made
	PoolShare           // R10: one parent's share of the work
	Ranks               // R11: what is used on two days is not evicted for junk
	NothingForGood      // R12: no permanent failure by what anyone can say
	Complete            // R14: only a complete handshake proves anything
	ReportsUntold       // R15: nobody is told of the delivery of a report
	PlanLife            // R25: a Plan is good for ten minutes
	ChangeTold          // R29: a change is told
	LapsedTold          // R30: a policy that lapsed is told of
	CauseTold           // R33: a delivery without enforced TLS has a cause
	OwnDeadline         // R34: our time limits are not the caller's
	NoRetryInClear      // R36: no retry in clear where TLS is asked for
	Named               // STS-122: no mail to a host that the policy does not name
	Proved              // STS-124: no mail to a host that does not prove itself
	Rules
)

func (r Rule) String() string {
	return [...]string{
		"none", "R1 renewal", "R1 renewal towards the end", "R2 short absence", "R2 absence beside a policy", "R3 back-off",
		"R4 last look", "R7 budget of GETs", "R7 Refreshes share", "R8 floor of id checks", "R8 silence is remembered",
		"R8 stand-in", "R10 share of the pools", "R11 ranks", "R12 nothing permanent", "R14 complete handshakes",
		"R15 reports untold", "R25 life of a Plan", "R29 changes told", "R30 lapsed told", "R33 causes told",
		"R34 own deadlines", "R36 no retry in clear", "named hosts", "proved hosts",
	}[r]
}
