package gate

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/ipv4"
)

// TestSocketTakesOursAndLeavesQUICTheRest sends both kinds in turn to a socket that is
// read as QUIC does.
func TestSocketTakesOursAndLeavesQUICTheRest(t *testing.T) {
	for network, ip := range map[string]net.IP{"udp4": net.IPv4(127, 0, 0, 1), "udp6": net.IPv6loopback} {
		t.Run(network, func(t *testing.T) { sendBoth(t, network, ip) })
	}
}

func sendBoth(t *testing.T, network string, ip net.IP) {
	s, err := Listen(network, &net.UDPAddr{IP: ip})
	if err != nil {
		t.Skip(err) // a machine without IPv6
	}
	defer s.Close()
	peer, err := net.ListenUDP(network, &net.UDPAddr{IP: ip})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	want := peer.LocalAddr().(*net.UDPAddr).AddrPort()
	s.Take(func(from netip.AddrPort, data, out []byte) []byte {
		if from != want {
			t.Errorf("from %v, it is %v", from, want)
		}
		return append(append(out, data...), '!')
	})
	const each = 40
	for i := range byte(each) {
		for _, first := range []byte{magic, 0x40} {
			if _, err := peer.WriteTo([]byte{first, i}, s.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, data := range readAll(t, s, each) {
		if !bytes.Equal(data, []byte{0x40, byte(i)}) {
			t.Errorf("datagram %d for QUIC is %x", i, data)
		}
	}
	buf := make([]byte, 10)
	for i := range byte(each) {
		n, err := peer.Read(buf)
		if err != nil || !bytes.Equal(buf[:n], []byte{magic, i, '!'}) {
			t.Errorf("answer %d is %x, %v", i, buf[:n], err)
		}
	}
	s.Leave()
	_, _ = peer.WriteTo([]byte{magic}, s.LocalAddr())
	_, _ = peer.WriteTo([]byte{0x41}, s.LocalAddr())
	if last := readAll(t, s, 1); !bytes.Equal(last[0], []byte{0x41}) {
		t.Errorf("after the end, %x", last[0])
	}
}

// readAll reads n datagrams as QUIC does: several at a time, into the same buffers.
func readAll(t *testing.T, s *Socket, n int) (all [][]byte) {
	t.Helper()
	ms := make([]ipv4.Message, 8)
	for i := range ms {
		ms[i].Buffers, ms[i].OOB = [][]byte{make([]byte, 100)}, make([]byte, 100)
	}
	for len(all) < n {
		got, err := s.ReadBatch(ms, 0)
		if err != nil || got == 0 {
			t.Fatalf("%d read: %v", got, err)
		}
		for _, m := range ms[:got] {
			all = append(all, bytes.Clone(m.Buffers[0][:m.N]))
		}
	}
	return all
}
