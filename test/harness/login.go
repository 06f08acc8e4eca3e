package harness

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// AwaitLogin waits until the daemon's event stream tells that it is logged in;
// unlike AwaitOnline it starts no further process.
func (d *Daemon) AwaitLogin(t testing.TB) Status {
	t.Helper()
	s, err := d.StatusWithin(patience, func(s Status) bool { return s.State == "online" })
	if err != nil {
		t.Fatalf("%s: no login: %v: %+v", d.opt.Name, err, s)
	}
	return s
}

// StatusWithin waits until the daemon's event stream tells of a status that fits;
// it may be called by any goroutine. With an error it returns the newest.
func (d *Daemon) StatusWithin(limit time.Duration, fits func(Status) bool) (Status, error) {
	over := time.NewTimer(limit)
	defer over.Stop()
	for {
		changed := d.follow.change()
		s := d.Status()
		if fits(s) {
			return s, nil
		}
		select {
		case <-changed:
		case <-d.ended:
			return s, errors.New("the daemon ended")
		case <-over.C:
			return s, fmt.Errorf("not within %v", limit)
		}
	}
}
