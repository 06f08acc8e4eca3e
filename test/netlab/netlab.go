// Package netlab builds small internets of network namespaces, for tests that
// need phones behind NATs. Everything in a lab is named after the process and
// is removed with the test; nothing in it has a way out to the real network.
//
// The public network is 44.128.0.0/24: go-libp2p holds the ranges set aside
// for tests (198.18.0.0/15, 203.0.113.0/24) for unroutable and would not
// announce addresses in them.
package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// serial tells the labs of one process apart.
var serial atomic.Int32

// NAT is how a router translates (RFC 4787).
type NAT string

// The kinds of NAT that the Linux kernel makes.
const (
	// PortRestricted keeps the port number, maps independently of the
	// destination, and lets in only who was sent to: most home routers.
	PortRestricted NAT = "masquerade"
	// Symmetric takes a random port for every destination: no port that one
	// peer sees is of use to another.
	Symmetric NAT = "masquerade random,fully-random"
)

// Lab is a public network and what is attached to it.
type Lab struct {
	t      testing.TB
	prefix string
	net    string // namespace of the public network's bridge
	next   int    // next host number on it
	cables int
	inside int // networks behind routers so far
}

// Host is one namespace with one interface, eth0.
type Host struct {
	lab       *Lab
	Namespace string // for "ip netns exec"
	Addr      string // its IPv4 address
}

// Router is a NAT with hosts behind it.
type Router struct {
	Host
	network string // "192.168.N"
	next    int
}

// Missing says what this machine lacks for a lab; nil when it lacks nothing.
var Missing = sync.OnceValue(missing)

func missing() error {
	if os.Getuid() != 0 {
		return errors.New("network namespaces need root")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("no %s on this machine: %w", tool, err)
		}
	}
	probe := fmt.Sprintf("peerd-%d-probe", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", probe).CombinedOutput(); err != nil {
		return fmt.Errorf("this machine lets nobody make a network namespace: %s", strings.TrimSpace(string(out)))
	}
	if out, err := exec.Command("ip", "netns", "del", probe).CombinedOutput(); err != nil {
		return fmt.Errorf("remove a network namespace: %s", strings.TrimSpace(string(out)))
	}
	return nil
}

// New makes an empty public network. The test is skipped, with the reason,
// where that is not possible.
func New(t testing.TB) *Lab {
	t.Helper()
	if err := Missing(); err != nil {
		t.Skip(err)
	}
	l := &Lab{t: t, prefix: fmt.Sprintf("peerd-%d-%d", os.Getpid(), serial.Add(1)), next: 2}
	l.net = l.namespace("net")
	l.lan(l.net, "44.128.0.1/24")
	return l
}

// namespace makes one with only a loopback interface, and without IPv6, whose
// duplicate address detection would have to be waited for.
func (l *Lab) namespace(name string) string {
	l.t.Helper()
	ns := l.prefix + "-" + name
	if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
		l.t.Fatalf("make namespace %s: %v\n%s", ns, err, out)
	}
	l.t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", ns).CombinedOutput(); err != nil {
			l.t.Errorf("remove namespace %s: %v\n%s", ns, err, out)
		}
	})
	l.sh(ns, "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set lo up")
	return ns
}

func (l *Lab) sh(ns, format string, args ...any) {
	l.t.Helper()
	script := fmt.Sprintf(format, args...)
	if out, err := exec.Command("ip", "netns", "exec", ns, "sh", "-ec", script).CombinedOutput(); err != nil {
		l.t.Fatalf("in namespace %s: %v\n%s\n%s", ns, err, script, out)
	}
}

// lan makes a network in a namespace, which passes packets on between its hosts
// without telling them of a shorter way.
func (l *Lab) lan(ns, cidr string) {
	l.t.Helper()
	l.sh(ns, `ip link add lan type bridge; ip link set lan up; ip addr add %s dev lan
		cd /proc/sys/net/ipv4; echo 1 > ip_forward; echo 0 > conf/all/send_redirects; echo 0 > conf/lan/send_redirects`, cidr)
}

// plug lays a cable from a namespace's new interface to a bridge "lan". The host
// knows no neighbour but the gateway: the kernel's table of neighbours is one for
// all namespaces and holds 1,024, which 80 hosts that all know each other overflow.
func (l *Lab) plug(ns, device, bridge, addr, gateway string) {
	l.t.Helper()
	l.cables++
	far := fmt.Sprint("v", l.cables)
	l.sh(ns, "ip link add %[1]s type veth peer name %[2]s netns %[3]s; ip addr add %[4]s/32 dev %[1]s; ip link set %[1]s up",
		device, far, bridge, addr)
	l.sh(bridge, "ip link set %[1]s master lan; ip link set %[1]s up", far)
	l.sh(ns, "ip route add %[1]s dev %[2]s; ip route add default via %[1]s dev %[2]s", gateway, device)
}

// Host attaches a host to the public network.
func (l *Lab) Host(name string) *Host {
	l.t.Helper()
	h := &Host{lab: l, Namespace: l.namespace(name), Addr: fmt.Sprintf("44.128.0.%d", l.next)}
	l.next++
	l.plug(h.Namespace, "eth0", l.net, h.Addr, "44.128.0.1")
	return h
}

// Router attaches a NAT of the given kind to the public network.
func (l *Lab) Router(name string, kind NAT) *Router {
	l.t.Helper()
	l.inside++
	r := &Router{Host: *l.Host(name), network: fmt.Sprintf("192.168.%d", l.inside), next: 2}
	l.lan(r.Namespace, r.network+".1/24")
	// The router answers nobody outside and forwards only what was begun
	// inside. What it drops must leave no trace in the connection table, or a
	// stranger's packet would take the port that the phone's own needs.
	r.nft(`table ip nat { chain post { type nat hook postrouting priority srcnat; oifname "eth0" %s; }; }
		table ip filter {
			chain input { type filter hook input priority 0; iifname "eth0" ct state new drop; }
			chain forward { type filter hook forward priority 0; iifname "eth0" ct state new drop; }
		}`, kind)
	return r
}

// Behind attaches a host to the network behind the router.
func (r *Router) Behind(name string) *Host {
	r.lab.t.Helper()
	h := &Host{lab: r.lab, Namespace: r.lab.namespace(name), Addr: fmt.Sprintf("%s.%d", r.network, r.next)}
	r.next++
	r.lab.plug(h.Namespace, "eth0", r.Namespace, h.Addr, r.network+".1")
	return h
}

func (h *Host) nft(format string, args ...any) {
	h.lab.t.Helper()
	rules := filepath.Join(h.lab.t.TempDir(), "rules")
	if err := os.WriteFile(rules, fmt.Appendf(nil, format, args...), 0o600); err != nil {
		h.lab.t.Fatal(err)
	}
	h.lab.sh(h.Namespace, "nft -f %s", rules)
}

// Refuse refuses TCP connections and UDP datagrams to a port of this host.
func (h *Host) Refuse(port int) {
	h.lab.t.Helper()
	h.nft(`table ip refuse { chain in {
		type filter hook input priority 0; meta l4proto { tcp, udp } th dport %d reject;
	}; }`, port)
}

// Block drops the UDP datagrams that arrive at this host for a port, until
// Unblock. What the host sends is not touched and can still be captured.
func (h *Host) Block(port int) {
	h.lab.t.Helper()
	h.nft("table ip cut { chain in { type filter hook input priority 0; udp dport %d drop; }; }", port)
}

// Unblock ends Block.
func (h *Host) Unblock() {
	h.lab.t.Helper()
	h.nft("delete table ip cut")
}
