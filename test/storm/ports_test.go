//go:build !race

package storm_test

import (
	"fmt"
	"net"
	"testing"
)

// ports hands out ports of this machine that nobody has, below those that the system
// hands out by itself: a daemon that comes back must find its own free.
type ports struct{ next int }

const (
	firstPort = 20000
	lastPort  = 32000
)

func (p *ports) take(t *testing.T) int {
	t.Helper()
	for p.next = max(p.next+1, firstPort); p.next < lastPort; p.next++ {
		if free(p.next) {
			return p.next
		}
	}
	t.Fatal("no port is free")
	return 0
}

// free says whether both UDP and TCP can be bound.
func free(port int) bool {
	at := fmt.Sprint("127.0.0.1:", port)
	u, err := net.ListenPacket("udp4", at)
	if err != nil {
		return false
	}
	defer u.Close()
	l, err := net.Listen("tcp4", at)
	if err != nil {
		return false
	}
	return l.Close() == nil
}
