package node_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/peerd/peerd/node"
	"github.com/peerd/peerd/node/nodetest"
)

const lanChild = "PEERD_TEST_LAN_CHILD"

// TestFindEachOtherOnTheLocalNetwork: two nodes that were told nobody find each
// other by mDNS. It runs in a network namespace of its own, so that nothing of
// it reaches the machine's network.
func TestFindEachOtherOnTheLocalNetwork(t *testing.T) {
	if os.Getenv(lanChild) != "" {
		findOnLAN(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), lanChild+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, os.ErrPermission):
		t.Skipf("a network namespace needs root, and a container that allows it: %v", err)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("no local network can be made here:\n%s", out)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	}
}

func findOnLAN(t *testing.T) {
	for _, words := range []string{
		"link set lo up", "link add lan0 type veth peer name lan1", "addr add 10.77.0.1/24 dev lan0",
		"link set lan0 up", "link set lan1 up", "route add 224.0.0.0/4 dev lan0",
	} {
		if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(words)...).CombinedOutput(); err != nil {
			t.Skipf("ip %s: %v %s", words, err, out)
		}
	}
	var members []*nodetest.Member
	for _, name := range []string{"first", "second"} {
		cfg := nodetest.Config(t, name, node.RoleServer, nil)
		cfg.MDNS, cfg.RelayPort = true, -1
		cfg.Listen = []string{"/ip4/10.77.0.1/udp/0/quic-v1"}
		members = append(members, nodetest.Start(t, cfg))
	}
	for _, m := range members {
		m.WaitStatus(t, "a neighbour from the local network", func(s node.Status) bool {
			return s.State == node.Online && s.Overlay.Peers == 1 && !s.Alone
		})
	}
}
