package netlab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's own binary be the program that runs inside a lab.
func TestMain(m *testing.M) {
	if to := os.Getenv("NETLAB_SEND"); to != "" {
		os.Exit(send(to))
	}
	os.Exit(m.Run())
}

// send sends one datagram from port 5000 to each address and returns.
func send(to string) int {
	c, err := net.ListenPacket("udp4", ":5000")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer c.Close()
	for addr := range strings.FieldsSeq(to) {
		if _, err := c.WriteTo([]byte("to "+addr), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

func sendFrom(t *testing.T, h *Host, to string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", h.Namespace, self)
	cmd.Env = append(os.Environ(), "NETLAB_SEND="+to)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// await returns the first n datagrams with a payload of the test.
func await(t *testing.T, c *Capture, n int) []Packet {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for {
		var ours []Packet
		for _, p := range c.Packets() {
			if strings.HasPrefix(string(p.Data), "to ") {
				ours = append(ours, p)
			}
		}
		if len(ours) >= n {
			return ours
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%d datagrams seen, want %d", len(ours), n)
		}
	}
}

func TestNATsTranslateAsTheyClaim(t *testing.T) {
	for _, tt := range []struct {
		kind NAT
		same bool // both destinations see one port, the phone's own
	}{{PortRestricted, true}, {Symmetric, false}} {
		t.Run(string(tt.kind), func(t *testing.T) {
			l := New(t)
			one, two := l.Host("one"), l.Host("two")
			router := l.Router("router", tt.kind)
			phone := router.Behind("phone")
			c := router.Capture()
			sendFrom(t, phone, one.Addr+":6000 "+two.Addr+":6000")
			p := await(t, c, 2)
			if p[0].From.Addr().String() != router.Addr {
				t.Errorf("sent from %v, want the router's %s", p[0].From, router.Addr)
			}
			if same := p[0].From == p[1].From && p[0].From.Port() == 5000; same != tt.same {
				t.Errorf("mapped to %v and %v", p[0].From, p[1].From)
			}
		})
	}
}

func TestRTPIsToldFromRTCPAndSTUN(t *testing.T) {
	for first, want := range map[[2]byte]bool{
		{0x80, 111}: true, {0x80, 111 | 0x80}: true, {0x90, 96}: true,
		{0x80, 200}: false, {0x81, 201}: false, {0x81, 206}: false,
		{0x00, 0x01}: false, {0x16, 0xfe}: false, {0x40, 0x00}: false,
	} {
		p := Packet{Data: append(first[:], make([]byte, 20)...)}
		if p.RTP() != want {
			t.Errorf("% x: %v", first, p.RTP())
		}
	}
	if (Packet{Data: []byte{0x80}}).RTP() {
		t.Error("one byte is an RTP packet")
	}
}
