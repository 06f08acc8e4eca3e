package overlay

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// How long a dial by the second and third choice waits for the first. A private
// address answers at once or belongs to another network.
const (
	tcpDelay        = 200 * time.Millisecond
	tcpDelayUDP     = 600 * time.Millisecond // where UDP is known to get through: who is slow is busy
	circuitDelay    = 150 * time.Millisecond
	circuitDelayLAN = 30 * time.Millisecond
)

// rankDials dials QUIC at once, TCP when QUIC has not answered, and circuits soon:
// signalling starts on whatever connects first, a direct connection follows. tcp is
// the delay of TCP.
func rankDials(addrs []ma.Multiaddr, tcp time.Duration) []network.AddrDelay {
	quic, afterDirect := false, time.Duration(0)
	for _, a := range addrs {
		if IsCircuit(a) {
			continue
		}
		quic = quic || isQUIC(a)
		if manet.IsPublicAddr(a) {
			afterDirect = circuitDelay
		}
		afterDirect = max(afterDirect, circuitDelayLAN)
	}
	ranked := make([]network.AddrDelay, 0, len(addrs))
	for _, a := range addrs {
		delay := time.Duration(0)
		switch {
		case IsCircuit(a):
			delay = afterDirect
		case !isQUIC(a) && quic:
			delay = tcp
		}
		ranked = append(ranked, network.AddrDelay{Addr: a, Delay: delay})
	}
	return ranked
}

func isQUIC(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_QUIC_V1)
	return err == nil
}
