package overlay

import (
	"testing"
	"time"
)

// TestOwnLogInIsNotTakenForThatOfOthers: what a process spends while it comes in itself
// is no measure of what those that it lets in cost.
func TestOwnLogInIsNotTakenForThatOfOthers(t *testing.T) {
	spent := time.Second
	m := meter{cpu: func() time.Duration { return spent }}
	// Keeps has joining wait for Keep.
	o := memberWith(t, func(cfg *Config) { cfg.Server, cfg.Keeps = true, true })
	if o.measure(&m); m.last != 0 {
		t.Error("measured while it comes in")
	}
	publish(o, func() {})
	eventually(t, "nobody left to ask", func() bool { return !o.busyJoining() })
	if o.measure(&m); m.last != spent {
		t.Error("not measured once there is nobody to join")
	}
	client := member(t, false, o)
	eventually(t, "joined", func() bool { return len(client.Servers()) == 1 })
	publish(client, func() {})
	eventually(t, "its record is stored", func() bool { return !client.busyJoining() })
}
