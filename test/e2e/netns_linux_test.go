package e2e_test

import (
	"fmt"
	"testing"

	"github.com/peerd/peerd/test/harness"
	"github.com/peerd/peerd/test/netlab"
)

// in places a daemon on a host of a lab and tells it where to join.
func in(h *netlab.Host, opt harness.Options, join ...*harness.Daemon) harness.Options {
	opt.Host, opt.Bootstrap = h, join
	return opt
}

// startServer starts the first node of a lab's overlay on a public host.
func startServer(t *testing.T, h *netlab.Host) *harness.Daemon {
	t.Helper()
	d := harness.Start(t, harness.Options{Name: "server", Host: h, First: true, Role: "server"})
	d.AwaitOnline(t)
	return d
}

func TestCallBetweenTwoNetworksAlsoWithoutTheBootstrapNode(t *testing.T) {
	t.Parallel()
	lab := netlab.New(t)
	server := startServer(t, lab.Host("server"))
	a, b := pair(t, in(lab.Host("alice"), alice(), server), in(lab.Host("bob"), bob(), server))
	call, _, _ := connect(t, a, b)
	b.Run(t, 0, "hangup")
	call.Call(0)

	server.Kill()
	call, out, inb := connect(t, a, b)
	a.AwaitPlayed(t, talk)
	b.AwaitPlayed(t, talk)
	a.Run(t, 0, "hangup")
	call.Call(0)
	ended(t, a, out.ID, "answered", "hangup", "local")
	ended(t, b, inb.ID, "answered", "hangup", "remote")
	a.Heard(t).Is(t, bobSays())
	b.Heard(t).Is(t, aliceSays())
}

func TestPhonesBehindTwoPortRestrictedNATsTalkDirectly(t *testing.T) {
	t.Parallel()
	behindNATs(t, netlab.PortRestricted, "direct")
}

func TestPhonesBehindTwoSymmetricNATsTalkThroughARelay(t *testing.T) {
	t.Parallel()
	behindNATs(t, netlab.Symmetric, "relay")
}

// behindNATs puts two phones behind a NAT each, and has each call the other.
func behindNATs(t *testing.T, kind netlab.NAT, path string) {
	t.Helper()
	lab := netlab.New(t)
	server := startServer(t, lab.Host("server"))
	homeA, homeB := lab.Router("nat-a", kind), lab.Router("nat-b", kind)
	a, b := pair(t, in(homeA.Behind("alice"), alice(), server), in(homeB.Behind("bob"), bob(), server))
	backward, _, _ := connect(t, b, a)
	a.Run(t, 0, "hangup")
	if told := backward.Call(0); told.Path != path {
		t.Errorf("the path of a call from bob to alice is %q, want %q", told.Path, path)
	}
	call, _, _ := connect(t, a, b)
	a.AwaitPlayed(t, talk)
	b.AwaitPlayed(t, talk)
	a.Run(t, 0, "hangup")
	if told := call.Call(0); told.Path != path {
		t.Errorf("the path of a call from alice to bob is %q, want %q", told.Path, path)
	}
	a.Heard(t).Is(t, bobSays())
	b.Heard(t).Is(t, aliceSays())
}

func TestThirtyPhonesBehindOneAddressAllLogIn(t *testing.T) {
	lab := netlab.New(t)
	server := startServer(t, lab.Host("server"))
	office := lab.Router("office", netlab.PortRestricted)
	var phones []*harness.Daemon
	for i := range 30 {
		name := fmt.Sprint("phone", i)
		phones = append(phones, harness.Start(t, in(office.Behind(name), harness.Options{Name: name, Plain: true}, server)))
	}
	for _, p := range phones {
		if s := p.AwaitOnline(t); !s.Login.Published {
			t.Errorf("%s is online without a record: %+v", p.Name(), s)
		}
	}
}
