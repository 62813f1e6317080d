package mtasts

// Worth is for the field of that name of a [cache.Dir] in which a Client keeps
// policies: where room runs out, those that ask for nothing go first, then those
// in mode testing, then those that were used on one day only, so that no flood of
// junk domains pushes out what is in use (R27). What is kept under other keys
// goes last, as do policies in use.
func Worth(key string, value []byte) int {
	domain := entryDomain(key)
	if domain == "" {
		return protectedRank
	}
	e, err := decodeEntry(domain, string(value))
	if err == errEntryNewer {
		return protectedRank
	}
	if err != nil {
		return 0
	}
	p, err := ParsePolicy(e.text)
	if err != nil {
		return 0
	}
	h := held{policy: p, days: e.days}
	return h.rank()
}
