//go:build !unix

package collect

import (
	"fmt"
	"runtime"
)

// openSocket fails: there are no datagrams on Unix sockets here.
func (d *Datagram) openSocket() (outbox, error) {
	return nil, fmt.Errorf("collect: Datagram needs datagrams on Unix sockets, which %s does not have: use a Collector", runtime.GOOS)
}

func isAway(error) bool { return false }
