package harness

import (
	"testing"
	"time"
)

// AwaitLogin waits until the daemon's event stream tells that it is logged in;
// unlike AwaitOnline it starts no further process.
func (d *Daemon) AwaitLogin(t testing.TB) Status {
	t.Helper()
	limit := time.After(patience)
	for {
		changed := d.follow.change()
		if s := d.Status(); s.State == "online" {
			return s
		}
		select {
		case <-changed:
		case <-d.ended:
			t.Fatalf("%s ended before it was logged in", d.opt.Name)
		case <-limit:
			t.Fatalf("%s: no login within %v: %+v", d.opt.Name, patience, d.Status())
		}
	}
}
