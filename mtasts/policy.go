package mtasts

// Lines returns the policy as served, line by line, for a report.
func (p *Policy) Lines() []string { return nil }
