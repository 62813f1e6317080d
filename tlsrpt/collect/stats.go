package collect

// Stats says what became of every session observed:
//
//	Seen = Held + Released + Stale + Unwanted + NoRoom + Late + Misdated + Malformed
type Stats struct {
	Seen      uint64 // sessions observed
	Held      uint64 // in tallies now
	Released  uint64 // in tallies that the Reporter, or the caller of Forget, is done with
	Stale     uint64 // in tallies that were dropped, as two days after their day nobody was done with them
	Unwanted  uint64 // to domains without a TLS-RPT record (RFC 8460, section 3)
	NoRoom    uint64 // to domains for which there was no memory: in no report
	Late      uint64 // of a day whose reports were being made already
	Misdated  uint64 // of a day more than two days from now
	Malformed uint64 // without a domain or a policy that a report could name

	// OverflowPolicies and OverflowDetails count how often a policy or a failure was
	// one too many to be told in full. In the totals of the report they are counted:
	// a policy with its type alone, a failure with its type and host, or its type.
	// Where memory had no room even for that, the failure is in the totals alone,
	// and a policy is in none.
	OverflowPolicies uint64
	OverflowDetails  uint64

	Domains      int   // tallies held
	Bytes        int64 // of memory held, about
	PendingBytes int64 // the part of Bytes that is for domains whose record is not known yet
}

// counts is the part of Stats that is counted, in each shard. Under its lock the
// sum above always holds.
type counts struct {
	Seen, Held, Released, Stale, Unwanted, NoRoom, Late, Misdated, Malformed uint64
	OverflowPolicies, OverflowDetails                                        uint64
}

// Stats returns the counts so far.
func (c *Collector) Stats() Stats {
	c.open()
	st := Stats{Bytes: c.budget.all.Load(), PendingBytes: c.budget.pending.Load()}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n := s.stats
		for _, tallies := range s.days {
			st.Domains += len(tallies)
		}
		s.mu.Unlock()
		st.Seen += n.Seen
		st.Held += n.Held
		st.Released += n.Released
		st.Stale += n.Stale
		st.Unwanted += n.Unwanted
		st.NoRoom += n.NoRoom
		st.Late += n.Late
		st.Misdated += n.Misdated
		st.Malformed += n.Malformed
		st.OverflowPolicies += n.OverflowPolicies
		st.OverflowDetails += n.OverflowDetails
	}
	return st
}
