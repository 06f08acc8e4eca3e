//go:build !race

package storm_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/peerd/peerd/test/harness"
	"github.com/peerd/peerd/test/netlab"
)

const (
	officePhones  = 64
	officeServers = 14 // beside the two bootstrap nodes; so that a fifth of all can serve
	officePort    = 27470
)

// TestSoakOffice restarts an overlay of which 64 phones are behind one address, and
// then the same overlay with the same phones at addresses of their own.
func TestSoakOffice(t *testing.T) {
	if !soak() {
		t.Skip("it takes minutes: run make storm-processes")
	}
	lab := netlab.New(t)
	f := &fleet{t: t, horizon: 2 * time.Minute}
	f.begin([2]harness.Options{{Name: "boot0", Host: lab.Host("boot0"), Port: officePort}, {Name: "boot1", Host: lab.Host("boot1"), Port: officePort}})
	for i := range officeServers {
		name := fmt.Sprint("server", i)
		f.enrol(harness.Options{Name: name, Host: lab.Host(name), Role: "server", Bootstrap: f.boots, Port: officePort}, false)
	}
	office := lab.Router("office", netlab.PortRestricted)
	var phones []*member
	for i := range officePhones {
		name := fmt.Sprint("phone", i)
		phones = append(phones, f.enrol(harness.Options{Name: name, Host: office.Behind(name), Bootstrap: f.boots}, false))
	}
	behind := f.upheaval(phones, "behind one address")
	for i, p := range phones {
		p.Kill()
		p.Move(lab.Host(fmt.Sprint("own", i)), 0)
	}
	for _, p := range phones {
		p.Restart(t)
	}
	own := f.upheaval(phones, "with addresses of their own")
	t.Logf("T99 of the %d phones behind one address is %.2f of theirs without", officePhones, behind.Seconds()/own.Seconds())
}

// upheaval lets all settle, restarts all at one instant, and returns T99 of the phones.
func (f *fleet) upheaval(phones []*member, where string) time.Duration {
	f.t.Helper()
	f.settle()
	f.kill()
	f.restart()
	for _, who := range f.left() {
		f.t.Errorf("%s: not back: %s", where, who)
	}
	var back []time.Duration
	for _, p := range phones {
		back = append(back, p.back)
	}
	f.t.Logf("%d phones %s are back, T50 / T99 / T100: %s; with all %d:\n%s", len(phones), where, spread(back), len(f.members), f.tells())
	return percentile(back, 0.99)
}
