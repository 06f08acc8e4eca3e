package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// eachAddr checks a list of multiaddrs.
func eachAddr(texts []string, check func(parts []string) error) ([]string, error) {
	for _, text := range texts {
		parts := strings.Split(strings.TrimSuffix(text, "/"), "/")
		err := errors.New("a multiaddr begins with /")
		if len(parts) > 1 && parts[0] == "" {
			err = check(parts[1:])
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
	}
	return texts, nil
}

// checkListen takes /ip4 or /ip6, an address, and a transport of ours.
func checkListen(parts []string) error {
	if len(parts) < 2 {
		return errors.New("write for instance /ip4/0.0.0.0/udp/27470/quic-v1")
	}
	if err := checkIP(parts[0], parts[1]); err != nil {
		return err
	}
	return checkTransport(parts[2:])
}

// checkBootstrap takes an address or a DNS name, a transport of ours, and the
// node's id. The id itself is checked by the node.
func checkBootstrap(parts []string) error {
	n := len(parts)
	if n < 4 || parts[n-2] != "p2p" || parts[n-1] == "" {
		return errors.New("/p2p/ and the node's id are missing at its end")
	}
	switch parts[0] {
	case "dns", "dns4", "dns6":
		if parts[1] == "" {
			return errors.New("the DNS name is empty")
		}
	default:
		if err := checkIP(parts[0], parts[1]); err != nil {
			return err
		}
	}
	return checkTransport(parts[2 : n-2])
}

func checkIP(family, text string) error {
	addr, err := netip.ParseAddr(text)
	if err != nil || family == "ip4" && !addr.Is4() || family == "ip6" && !addr.Is6() {
		return fmt.Errorf("%q is no %s address", text, family)
	}
	if family != "ip4" && family != "ip6" {
		return fmt.Errorf("%q is neither ip4 nor ip6", family)
	}
	return nil
}

// checkTransport takes udp/PORT/quic-v1 and tcp/PORT.
func checkTransport(parts []string) error {
	quic := len(parts) == 3 && parts[0] == "udp" && parts[2] == "quic-v1"
	tcp := len(parts) == 2 && parts[0] == "tcp"
	if !quic && !tcp {
		return errors.New("the transport is neither /udp/PORT/quic-v1 nor /tcp/PORT")
	}
	_, err := number(parts[1], 0, 65535)
	return err
}
