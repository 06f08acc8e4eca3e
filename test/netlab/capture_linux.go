package netlab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Packet is a UDP datagram as it was seen on an interface.
type Packet struct {
	At   time.Time
	From netip.AddrPort
	To   netip.AddrPort
	Data []byte // the payload, or its beginning
}

// RTP tells whether the payload is an RTP packet, encrypted or not: version 2
// (RFC 3550 section 5.1) and none of the types that RTCP has when it shares
// the port (RFC 5761 section 4).
func (p Packet) RTP() bool {
	if len(p.Data) < 12 || p.Data[0]>>6 != 2 {
		return false
	}
	return p.Data[1] < 192 || p.Data[1] > 223
}

// Capture records the UDP datagrams that leave a host, outside of the
// processes that send them.
type Capture struct {
	file    *os.File
	done    chan struct{}
	mu      sync.Mutex
	packets []Packet
}

// keep is how much of a payload is kept, in bytes.
const keep = 64

// Capture begins to record what leaves this host through eth0. It ends with
// the test.
func (h *Host) Capture() *Capture {
	h.lab.t.Helper()
	file, err := rawSocket(h.Namespace)
	if err != nil {
		h.lab.t.Fatalf("capture in %s: %v", h.Namespace, err)
	}
	c := &Capture{file: file, done: make(chan struct{})}
	go c.read()
	h.lab.t.Cleanup(c.close)
	return c
}

// rawSocket opens a packet socket in a namespace: a socket stays where it was
// made, so the thread that made it can be given up.
func rawSocket(namespace string) (file *os.File, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		file, err = rawSocketHere(namespace)
	}()
	<-done
	return file, err
}

func rawSocketHere(namespace string) (*os.File, error) {
	ns, err := os.Open("/run/netns/" + namespace)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter the namespace: %w", err)
	}
	ip := int(binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff}))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, ip)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "capture"), nil
}

func (c *Capture) read() {
	defer close(c.done)
	raw, err := c.file.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 65536)
	for {
		var n int
		var from unix.Sockaddr
		var rerr error
		err := raw.Read(func(fd uintptr) bool {
			n, from, rerr = unix.Recvfrom(int(fd), buf, 0)
			return !errors.Is(rerr, unix.EAGAIN)
		})
		if err != nil || rerr != nil {
			return
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok || link.Pkttype != unix.PACKET_OUTGOING {
			continue
		}
		if p, ok := parseUDP(buf[:n]); ok {
			p.At = time.Now()
			c.mu.Lock()
			c.packets = append(c.packets, p)
			c.mu.Unlock()
		}
	}
}

func (c *Capture) close() {
	c.file.Close()
	<-c.done
}

// Packets returns what was seen so far.
func (c *Capture) Packets() []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Packet(nil), c.packets...)
}

// parseUDP reads an IPv4 packet without options that fills b.
func parseUDP(b []byte) (Packet, bool) {
	if len(b) < 28 || b[0]>>4 != 4 || b[9] != unix.IPPROTO_UDP {
		return Packet{}, false
	}
	head := int(b[0]&0x0f) * 4
	if head < 20 || len(b) < head+8 {
		return Packet{}, false
	}
	udp := b[head:]
	at := func(ip, port []byte) netip.AddrPort {
		addr, _ := netip.AddrFromSlice(ip)
		return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port))
	}
	return Packet{
		From: at(b[12:16], udp[0:2]),
		To:   at(b[16:20], udp[2:4]),
		Data: append([]byte(nil), udp[8:min(len(udp), 8+keep)]...),
	}, true
}
