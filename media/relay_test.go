package media_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
	"github.com/pion/turn/v5"

	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/media/mediatest"
)

// hostAddress is an IPv4 address under which sessions of this machine know each
// other: the loopback only where there is no other.
func hostAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}

// relayServer runs a TURN server on this machine and returns "host:port" of
// its UDP and TCP listeners.
func relayServer(t *testing.T) (udp, tcp string) {
	t.Helper()
	host := hostAddress(t)
	pc, err := net.ListenPacket("udp4", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	addresses := &turn.RelayAddressGeneratorStatic{RelayAddress: net.ParseIP(host), Address: host}
	admit := func(net.Addr, net.IP) bool { return true }
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: "test",
		AuthHandler: func(r *turn.RequestAttributes) (string, []byte, bool) {
			return r.Username, turn.GenerateAuthKey(r.Username, r.Realm, "secret"), true
		},
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: pc, RelayAddressGenerator: addresses, PermissionHandler: admit}},
		ListenerConfigs:   []turn.ListenerConfig{{Listener: l, RelayAddressGenerator: addresses, PermissionHandler: admit}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return pc.LocalAddr().String(), l.Addr().String()
}

func TestRelayedPath(t *testing.T) {
	udp, tcp := relayServer(t)
	for name, url := range map[string]string{"udp": "turn:" + udp + "?transport=udp", "tcp": "turn:" + tcp + "?transport=tcp"} {
		t.Run(name, func(t *testing.T) {
			var codec mediatest.Codec
			cfg := configs(&codec)
			cfg[0].ICEServers = []media.ICEServer{{URLs: []string{"stun:" + udp, url}, Username: "alice", Password: "secret"}}
			cfg[0].RelayOnly = true
			p := mediatest.NewPair(t, [2]transport.Net{}, cfg)
			p.Connect(t)
			p.AwaitUp(t)
			cards := [2]*mediatest.Card{{Mic: mediatest.Tone(440)}, {Mic: mediatest.Tone(1000)}}
			for i, e := range p {
				if err := e.Session.Start(cards[i]); err != nil {
					t.Fatal(err)
				}
			}
			await(t, "tones through the relay", func() bool {
				return power(tail(cards[0], 5e8), 1000) > 0.9 && power(tail(cards[1], 5e8), 440) > 0.9
			})
			if path := p[0].Session.Path(); path.Kind() != "relay" {
				t.Errorf("path is %+v", path)
			}
		})
	}
}

func TestDirectIsPreferredToRelay(t *testing.T) {
	udp, _ := relayServer(t)
	var codec mediatest.Codec
	cfg := configs(&codec)
	for i := range cfg {
		cfg[i].ICEServers = []media.ICEServer{{URLs: []string{"stun:" + udp, "turn:" + udp + "?transport=udp"}, Username: "bob", Password: "secret"}}
	}
	p := mediatest.NewPair(t, [2]transport.Net{}, cfg)
	p.Connect(t)
	p.AwaitUp(t)
	for _, e := range p {
		if kind := e.Session.Path().Kind(); kind != "direct" {
			t.Errorf("path is %q", kind)
		}
	}
}

// slowNet is the machine's network with direct packets taking their time, as on a
// machine that is short of CPU. What goes through a relay is as quick as ever.
type slowNet struct {
	transport.Net
	pending *sync.WaitGroup
}

func (n slowNet) ListenUDP(network string, addr *net.UDPAddr) (transport.UDPConn, error) {
	c, err := n.Net.ListenUDP(network, addr)
	return slowConn{c, n.pending}, err
}

type slowConn struct {
	transport.UDPConn
	pending *sync.WaitGroup
}

func (c slowConn) WriteTo(b []byte, to net.Addr) (int, error) {
	later := append([]byte(nil), b...)
	c.pending.Add(1)
	time.AfterFunc(120*time.Millisecond, func() {
		defer c.pending.Done()
		_, _ = c.UDPConn.WriteTo(later, to) // closed by now: lost
	})
	return len(b), nil
}

// TestSlowDirectIsPreferredToQuickRelay: a relay is taken for good, so the direct
// pairs get their chance although their checks take longer.
func TestSlowDirectIsPreferredToQuickRelay(t *testing.T) {
	udp, _ := relayServer(t)
	var codec mediatest.Codec
	cfg := configs(&codec)
	var nets [2]transport.Net
	var pending sync.WaitGroup
	t.Cleanup(pending.Wait)
	for i := range cfg {
		cfg[i].ICEServers = []media.ICEServer{{URLs: []string{"turn:" + udp + "?transport=udp"}, Username: "bob", Password: "secret"}}
		n, err := stdnet.NewNet()
		if err != nil {
			t.Fatal(err)
		}
		nets[i] = slowNet{n, &pending}
	}
	p := mediatest.NewPair(t, nets, cfg)
	p.Connect(t)
	p.AwaitUp(t)
	for _, e := range p {
		if path := e.Session.Path(); path.Kind() != "direct" {
			t.Errorf("path is %+v", path)
		}
	}
}

func TestUnreachableServersHoldNothingUp(t *testing.T) {
	var codec mediatest.Codec
	cfg := configs(&codec)
	for i := range cfg {
		cfg[i].ICEServers = []media.ICEServer{{URLs: []string{
			"stun:192.0.2.1:3478", "turn:192.0.2.1:3478?transport=udp",
			"turn:192.0.2.1:3478?transport=tcp",
		}, Username: "bob", Password: "secret"}}
	}
	p := mediatest.NewPair(t, [2]transport.Net{}, cfg)
	p.Connect(t)
	p.AwaitUp(t)
}
