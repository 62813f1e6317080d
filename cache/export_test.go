package cache

// BreakDisk lets everything fail that a Dir asks of its disk from now on.
func (d *Dir) BreakDisk() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		d.wrapDisk = func(inner disk) disk { return &faultyDisk{disk: inner, fault: always} }
		return
	}
	d.open.disk = &faultyDisk{disk: d.open.disk, fault: always}
}
