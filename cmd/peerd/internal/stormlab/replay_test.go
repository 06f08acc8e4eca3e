package stormlab

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	realnode "github.com/peerd/peerd/node"
	"github.com/peerd/peerd/node/nodetest"
	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
	"github.com/peerd/peerd/node/storm/trace"
	reallab "github.com/peerd/peerd/node/stormlab"
)

// kept is a trace in memory that can be read while it is written.
type kept struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (k *kept) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.Write(b)
}

func (k *kept) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.String()
}

// waitFor waits until a trace has a decision.
func (k *kept) waitFor(t *testing.T, decision string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !strings.Contains(k.String(), decision); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s in a trace", decision)
		}
	}
}

// TestARealNodesTraceReplaysInBothLabs records a server and a phone on real sockets,
// in a small storm in which most are refused, and has both laboratories decide anew.
func TestARealNodesTraceReplaysInBothLabs(t *testing.T) {
	var server, phone kept
	cfg := nodetest.Config(t, "server", realnode.RoleServer, nil)
	cfg.Trace = &server
	first := nodetest.Start(t, cfg)
	addr := udpOf(t, first.Status().Addresses)
	crowd(t, addr, &server)
	var phones []*nodetest.Member
	for i := range 6 {
		cfg := nodetest.Config(t, fmt.Sprint("phone", i), realnode.RoleClient, first.Status().Addresses)
		if i == 0 {
			cfg.Trace = &phone
		}
		phones = append(phones, nodetest.Start(t, cfg))
	}
	for _, p := range phones {
		p.WaitOnline(t)
	}
	if refusals := first.Status().Overlay.Refusals; refusals == 0 {
		t.Error("nobody was refused")
	}
	replays(t, server.String(), "come", "wait", "silent")
	phone.waitFor(t, `"do":"store"`) // the records were there before the policy asked for it
	replays(t, phone.String(), "ask", "dial", "find", "offer", "store", "wait-until")
}

// replays has both laboratories replay a trace in which decisions of these kinds were made.
func replays(t *testing.T, text string, kinds ...string) {
	t.Helper()
	text = text[:strings.LastIndexByte(text, '\n')+1]
	simulated, err := Replay(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	virtual, err := reallab.Replay(t, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, report := range []trace.Report{simulated, virtual} {
		if !report.Same || report.Entries != strings.Count(text, "\n")-1 {
			t.Errorf("%+v", report)
		}
		for _, kind := range kinds {
			if report.Decisions[kind] == 0 {
				t.Errorf("nothing was decided as %q: %v", kind, report.Decisions)
			}
		}
	}
}

// udpOf is where a node takes questions.
func udpOf(t *testing.T, addresses []string) netip.AddrPort {
	t.Helper()
	for _, a := range addresses {
		var port uint16
		if n, _ := fmt.Sscanf(a, "/ip4/127.0.0.1/udp/%d/quic-v1", &port); n == 1 {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
		}
	}
	t.Fatalf("no UDP address among %v", addresses)
	return netip.AddrPort{}
}

// crowd asks a server, each time as another node, whether to come, until one of them has
// to wait and another is not answered: a few at a time, as what comes all at once is lost
// on the way.
func crowd(t *testing.T, at netip.AddrPort, decided *kept) {
	t.Helper()
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer := make([]byte, 2048)
	for i := range 10_000 {
		who := peer.ID(append([]byte{0, 2}, byte(i>>8), byte(i)))
		q, err := gate.AppendQuestion(nil, gate.Question{Nonce: uint64(i), From: who, Class: uint8(storm.LogIn)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = conn.Write(q); err != nil {
			t.Fatal(err)
		}
		if i%16 < 15 {
			continue
		}
		for err == nil { // until no more answers come
			_ = conn.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
			_, err = conn.Read(answer)
		}
		if said := decided.String(); strings.Contains(said, `"do":"wait"`) && strings.Contains(said, `"do":"silent"`) {
			return
		}
	}
	t.Error("nobody had to wait, or nobody was left without an answer")
}

// TestASimulatedNodesTraceReplaysInBothLabs is the same for a server of a simulation.
func TestASimulatedNodesTraceReplaysInBothLabs(t *testing.T) {
	var server kept
	simulate(t, Options{Scenario: "cold", Trace: &server})
	replays(t, server.String(), "come", "wait", "ask")
}
