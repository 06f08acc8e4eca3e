package overlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Plain says in one line what came of a failed dial and what to do next: who was
// asked, and what happened at each address.
func Plain(p peer.AddrInfo, err error) error {
	var each []string
	var dial *swarm.DialError
	if errors.As(err, &dial) {
		for _, e := range dial.DialErrors {
			var other sec.ErrPeerIDMismatch
			if errors.As(e.Cause, &other) {
				return mistaken(e.Address, other)
			}
			each = append(each, outcome(e.Address, e.Cause))
		}
	}
	if len(each) == 0 { // given up as a whole
		for _, a := range p.Addrs {
			each = append(each, outcome(a, err))
		}
	}
	if len(each) == 0 {
		each = []string{rootCause(err)}
	}
	return fmt.Errorf("node %s: %s; is it running, is its address still right, and does the network let it through?",
		tail(p.ID), strings.Join(each, ", "))
}

// mistaken says that an address is another node's.
func mistaken(a ma.Multiaddr, other sec.ErrPeerIDMismatch) error {
	return fmt.Errorf("another node answers at %s: expected is %s, found is %s; if --bootstrap names that address, "+
		"correct the id at its end: peerd status prints it there", where(a), other.Expected, other.Actual)
}

// outcome says what happened at one address.
func outcome(a ma.Multiaddr, err error) string {
	var slow net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return "no answer from " + where(a)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens at " + where(a)
	default:
		return where(a) + ": " + rootCause(err)
	}
}

// where writes an address as people do, "1.2.3.4:5678 (udp)", if that says all.
func where(a ma.Multiaddr) string {
	ip, err := manet.ToIP(a)
	if err != nil {
		return a.String()
	}
	for name, code := range map[string]int{"udp": ma.P_UDP, "tcp": ma.P_TCP} {
		if port, err := a.ValueForProtocol(code); err == nil {
			return net.JoinHostPort(ip.String(), port) + " (" + name + ")"
		}
	}
	return a.String()
}

// tail is the end of a peer id, which tells nodes apart.
func tail(p peer.ID) string {
	s := p.String()
	return "..." + s[max(0, len(s)-6):]
}

func rootCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
