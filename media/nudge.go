package media

import (
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// nudges are the moments after the other end's description came at which an end
// that has found no path yet looks again.
var nudges = [...]time.Duration{10 * time.Millisecond, 30 * time.Millisecond, 80 * time.Millisecond, 150 * time.Millisecond}

// nudge makes pion's ICE agent look at its pairs now. Left alone it does so
// every 200 ms, and there is no setting for that interval. So the offering end
// nominates a pair whose check succeeded a moment after the other end's check of
// it in the next round only, and the answering end, nominated to before its own
// check of the pair got through, checks it again in the next round only. A new
// remote candidate starts a round at once, so it gets one: an address it knows
// already, as a reflexive one.
func (s *Session) nudge(known ice.Candidate) {
	begin := time.Now()
	for i, at := range nudges {
		wait := time.NewTimer(time.Until(begin.Add(at)))
		select {
		case <-s.ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		switch s.pc.ICEConnectionState() {
		case webrtc.ICEConnectionStateNew:
			continue // not begun
		case webrtc.ICEConnectionStateChecking:
		default:
			return
		}
		c, err := ice.NewCandidateServerReflexive(&ice.CandidateServerReflexiveConfig{
			Network: "udp", Address: known.Address(), Port: known.Port(), Component: ice.ComponentRTP,
			RelAddr: "0.0.0.0", RelPort: i + 1, // tells one nudge from the next
		})
		if err == nil {
			err = s.giveCandidate("candidate:" + c.Marshal())
		}
		if err != nil {
			s.log.Debug("nudging ICE", "err", err)
			return
		}
	}
}
