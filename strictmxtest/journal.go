package strictmxtest

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// journalLines bounds the log: a failed test wants the end of the story, a
// benchmark no growth.
const journalLines = 1000

// journal keeps the last lines of what happened.
type journal struct {
	mu      sync.Mutex // guards all
	start   time.Time
	lines   []string
	dropped int
}

func newJournal() *journal { return &journal{start: time.Now()} }

func (j *journal) add(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.lines) == 2*journalLines {
		j.dropped += copy(j.lines, j.lines[journalLines:])
		j.lines = j.lines[:journalLines]
	}
	j.lines = append(j.lines, fmt.Sprintf("%9.3f ms  %s", float64(time.Since(j.start).Microseconds())/1000, line))
}

func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines, j.dropped = nil, 0
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	if j.dropped > 0 {
		fmt.Fprintf(&b, "(%d earlier lines are gone)\n", j.dropped)
	}
	for _, line := range j.lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}
