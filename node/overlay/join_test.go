package overlay

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"

	record "github.com/libp2p/go-libp2p-record"
)

// TestJoinAfterFailedIdentification: the only bootstrap node accepts connections,
// but is too busy to say what it is, as a machine under load. Once it does, the
// client joins with its next try.
func TestJoinAfterFailedIdentification(t *testing.T) {
	server := member(t, true)
	server.host.RemoveStreamHandler(identify.ID)
	client := member(t, false, server)
	client.host.RemoveStreamHandler(identify.IDPush) // nobody tells it unasked
	eventually(t, "a round without success", func() bool {
		j := client.Joining()
		return j.Rounds > 0 && j.Why != ""
	})
	if n := len(client.Servers()); n != 0 {
		t.Fatalf("%d servers that have not said that they are", n)
	}
	answersAgain(t, server.host)
	rounds := client.Joining().Rounds
	eventually(t, "joined", func() bool { return len(client.Servers()) == 1 })
	if more := client.Joining().Rounds - rounds; more > 2 {
		t.Errorf("joined in round %d after the server could answer", more)
	}
}

func answersAgain(t *testing.T, h host.Host) {
	t.Helper()
	ids, err := identify.NewIDService(h)
	if err != nil {
		t.Fatal(err)
	}
	ids.Start()
	t.Cleanup(func() { _ = ids.Close() })
}

// TestJoinLateServer: the bootstrap node comes up after its client has tried in vain.
func TestJoinLateServer(t *testing.T) {
	early := member(t, true)
	addrs := early.interfaceAddrs()
	key := early.cfg.Key
	if err := early.Close(); err != nil {
		t.Fatal(err)
	}
	client := member(t, false, early)
	eventually(t, "two rounds without success", func() bool { return client.Joining().Rounds > 1 })
	cfg := Config{
		Key: key, Dir: t.TempDir(), Server: true, Memory: true, Log: quiet(), Now: time.Now,
		Validators: record.NamespacedValidator{"pa": anything{}},
		Handlers:   map[protocol.ID]network.StreamHandler{MemberProtocol: func(s network.Stream) { _ = s.Reset() }},
	}
	for _, a := range addrs {
		cfg.Listen = append(cfg.Listen, a.String())
	}
	late, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = late.Close() })
	rounds := client.Joining().Rounds
	eventually(t, "joined", func() bool {
		return len(client.Servers()) == 1 && client.Servers()[0] == late.host.ID()
	})
	if more := client.Joining().Rounds - rounds; more > 2 {
		t.Errorf("joined in round %d after the server came up", more)
	}
}
