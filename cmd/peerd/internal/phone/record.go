package phone

import (
	"fmt"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/media"
)

// update changes the call's record and tells the watchers.
func (c *call) update(change func(*Call)) {
	c.mu.Lock()
	change(&c.rec)
	c.rec.State = c.stateLocked()
	public := c.public
	c.mu.Unlock()
	if public {
		c.announce()
	}
}

// show lets watchers and the history see the call from now on.
func (c *call) show() {
	c.mu.Lock()
	c.public = true
	c.mu.Unlock()
	c.announce()
	c.save()
}

func (c *call) announce() {
	now := c.snapshot()
	c.phone.hub.publish(Event{Type: EventCall, Call: &now})
}

// stateLocked puts the facts into the one word that users see.
func (c *call) stateLocked() CallState {
	switch {
	case c.rec.EndReason != "":
		return StateEnded
	case c.rec.Answered.IsZero() && (c.rec.Direction == Incoming || !c.rec.Rung.IsZero()):
		return StateRinging
	case c.rec.Answered.IsZero():
		return StateDialing
	case c.rec.Held || c.rec.RemoteHeld:
		return StateHeld
	case !c.flowing:
		return StateConnecting
	default:
		return StateActive
	}
}

// facts returns a copy of the record.
func (c *call) facts() Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.factsLocked()
}

func (c *call) factsLocked() Call {
	now := c.rec
	now.SAS = append([]string(nil), c.rec.SAS...)
	if !now.Answered.IsZero() && now.Ended.IsZero() {
		now.Duration = time.Since(now.Answered)
	}
	return now
}

// snapshot is facts with the figures of this moment, for which the media session is
// asked: of very many calls that takes time from those that talk.
func (c *call) snapshot() Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.factsLocked()
	if c.live != nil {
		s := c.live.Stats()
		now.Stats = statsOf(s)
		now.Stats.Chain = c.chainLocked(s)
		if path := s.Path.Kind(); path != "" {
			now.Path = path
		}
	}
	now.Stats.Underruns = c.handset.Underruns()
	return now
}

// chainLocked describes what sound passes through on its two ways.
func (c *call) chainLocked(s media.Stats) []string {
	network := fmt.Sprintf("%s %s - %s", s.Path.Kind(), s.Path.Local, s.Path.Remote)
	switch {
	case c.rec.Answered.IsZero():
		return nil
	case c.echoes():
		return []string{fmt.Sprintf("%s -> echo, packet by packet -> back", network)}
	}
	decoder := "Opus"
	if c.rec.Remote.Stranger {
		decoder = "Opus (memory-safe)"
	}
	device := c.handset.Name()
	return []string{
		fmt.Sprintf("%s -> %d ms frames -> Opus -> %s", device, audio.FrameDuration.Milliseconds(), network),
		fmt.Sprintf("%s -> playout %.0f ms (target %.0f) -> %s -> %s", network, s.PlayoutDelayMS, s.TargetMS, decoder, device),
	}
}

func statsOf(s media.Stats) Stats {
	return Stats{
		PacketsSent: s.PacketsSent, BytesSent: s.BytesSent,
		PacketsReceived: s.PacketsReceived, BytesReceived: s.BytesReceived,
		PacketsLost: s.Lost, PacketsLate: s.Late,
		ConcealedRatio: s.ConcealedRatio,
		PlayoutDelay:   milliseconds(s.PlayoutDelayMS),
		Jitter:         milliseconds(s.JitterMS),
		RTT:            s.Path.RTT,
		LateFrames:     s.LateFrames,
	}
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// isLive reports whether the call is not over.
func (c *call) isLive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.EndReason == ""
}
