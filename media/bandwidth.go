package media

import "time"

// A narrow link shows itself by its queue: the round trip grows. Loss alone
// does not mean that there is no room.
const (
	queueing    = 150 * time.Millisecond // growth of the round trip, beside twice the jitter
	rttMemory   = 60                     // reports whose smallest round trip is that of an empty queue
	rttRecent   = 2                      // reports whose smallest round trip is the present one
	stepUpAfter = 6 * time.Second        // without queue; doubled each time that it was too early
	stepUpMost  = 60 * time.Second
	tryLow      = 5 * time.Second // at the lowest step a queue would be shorter by then
	fewLost     = 0.05            // with more lost than this a longer way is not believed in
)

// steps are bit rates of the encoder and frames of 20 ms in one packet. A packet
// costs 50 bytes beside its frames (IP, UDP, RTP, SRTP): 20 kbit/s with one frame
// in each, a third of that with three.
func steps() []plan {
	return []plan{
		{bitrate: voiceBitrate, frames: 1}, // 44 kbit/s on the wire
		{bitrate: 16000, frames: 2},        // 26
		{bitrate: 12000, frames: 3},        // 19
		{bitrate: 8000, frames: 3},         // 15
	}
}

// link is what is known of the network's room, from round trips alone.
type link struct {
	step     int
	rtts     [rttMemory]time.Duration
	count    int
	changed  time.Time     // when the step was changed
	up       bool          // the last change was upwards
	patience time.Duration // how long there must be no queue
	before   time.Duration // round trip when the step was last lowered
}

func (l *link) plan() plan { return steps()[l.step] }

// roundTrip takes a measured round trip, and the jitter and the share of lost
// packets that the other end reports.
func (l *link) roundTrip(now time.Time, rtt, jitter time.Duration, lost float64) {
	l.rtts[l.count%rttMemory] = rtt
	l.count++
	if l.patience == 0 {
		l.patience = stepUpAfter
	}
	queue := l.least(rttRecent) - l.least(rttMemory)
	switch {
	case queue > queueing+2*jitter:
		l.crowded(now, rtt, lost)
	case queue < queueing/2+jitter:
		if l.step > 0 && now.Sub(l.changed) >= l.patience {
			l.step, l.changed, l.up = l.step-1, now, true
		}
	}
}

// crowded lowers the step, a second after the last time at the earliest. A round
// trip that the lowest step has not made shorter is no queue's: the way is
// longer now, and all that was known of it is void.
func (l *link) crowded(now time.Time, rtt time.Duration, lost float64) {
	since := now.Sub(l.changed)
	if since < time.Second {
		return
	}
	if l.up && since < stepUpAfter {
		l.patience = min(2*l.patience, stepUpMost)
	}
	lowest := len(steps()) - 1
	switch {
	case l.step < lowest:
		if l.step == 0 || l.up {
			l.before = rtt
		}
		l.step, l.changed, l.up = l.step+1, now, false
	case since >= tryLow && rtt > l.before*9/10 && lost < fewLost:
		l.count, l.step = 0, 0
	}
}

// least is the smallest of the last n round trips.
func (l *link) least(n int) time.Duration {
	n = min(n, l.count, rttMemory)
	least := l.rtts[(l.count-1)%rttMemory]
	for i := 1; i <= n; i++ {
		least = min(least, l.rtts[(l.count-i)%rttMemory])
	}
	return least
}
