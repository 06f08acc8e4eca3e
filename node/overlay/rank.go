package overlay

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// How long a dial by the second and third choice waits for the first.
const (
	tcpDelay     = 200 * time.Millisecond
	circuitDelay = 150 * time.Millisecond
)

// rankDials dials QUIC at once, TCP when QUIC has not answered, and circuits soon:
// signalling starts on whatever connects first, a direct connection follows.
func rankDials(addrs []ma.Multiaddr) []network.AddrDelay {
	quic, direct := false, false
	for _, a := range addrs {
		direct = direct || !IsCircuit(a)
		quic = quic || (isQUIC(a) && !IsCircuit(a))
	}
	ranked := make([]network.AddrDelay, 0, len(addrs))
	for _, a := range addrs {
		delay := time.Duration(0)
		switch {
		case IsCircuit(a) && direct:
			delay = circuitDelay
		case !IsCircuit(a) && !isQUIC(a) && quic:
			delay = tcpDelay
		}
		ranked = append(ranked, network.AddrDelay{Addr: a, Delay: delay})
	}
	return ranked
}

func isQUIC(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_QUIC_V1)
	return err == nil
}
