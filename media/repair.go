package media

import (
	"math"
	"sync"
	"time"
)

// What is sent against loss follows what the other end reports.
const (
	voiceBitrate = 24000 // bit/s
	// fecBitrate pays for in-band forward error correction, which takes from the
	// frame's own bits.
	fecBitrate = 32000

	someLoss  = 0.01 // from here on each packet carries the frame before it
	muchLoss  = 0.07 // and from here on two of them
	burstLoss = 0.02 // as from here on, when losses come in bursts
	bursty    = 1.5  // mean length of a burst, packets; independent losses of 20 % have 1.25

	// calmAfter is how long less would do before less is sent.
	calmAfter = 10 * time.Second
	// meterSpan is how many packets the loss is averaged over, 4 s.
	meterSpan  = 200
	meterPrior = 50 // packets without loss that are assumed at first
)

// maxFrames is how many frames of 20 ms are sent in one packet at most.
const maxFrames = 3

// lossMeter averages reports of loss, forgetting old ones.
type lossMeter struct {
	sent, lost, bursts float64 // packets, packets, rows of lost packets
}

// add takes a report: of sent packets lost were lost, in so many bursts.
func (m *lossMeter) add(sent, lost, bursts float64) {
	keep := math.Exp(-sent / meterSpan)
	m.sent, m.lost, m.bursts = m.sent*keep+sent, m.lost*keep+lost, m.bursts*keep+bursts
}

// share is the loss, 0..1.
func (m *lossMeter) share() float64 { return m.lost / max(m.sent, meterPrior) }

// burst is the mean number of packets lost in a row.
func (m *lossMeter) burst() float64 {
	if m.bursts == 0 {
		return 1
	}
	return m.lost / m.bursts
}

// plan is how frames are sent.
type plan struct {
	depth   int // earlier frames in each packet, where the other end knows RED
	fec     int // percent of loss that in-band forward error correction is armed for
	bitrate int // of the encoder, bit/s
	frames  int // of 20 ms in one packet
}

// repair makes the plan.
type repair struct {
	mu       sync.Mutex
	meter    lossMeter
	link     link
	depth    int
	needed   time.Time // when this depth was last wanted
	haveRuns bool      // the other end reports which packets are lost
}

func newPlan() plan { return plan{bitrate: voiceBitrate, frames: 1} }

// wanted is the depth for the present loss.
func (m *lossMeter) wanted() int {
	share := m.share()
	switch {
	case share >= muchLoss || share >= burstLoss && m.burst() >= bursty:
		return 2
	case share >= someLoss:
		return 1
	default:
		return 0
	}
}

// next is the plan after what has been reported up to now. red tells whether
// the other end knows RED.
func (r *repair) next(now time.Time, red bool) plan {
	want := r.meter.wanted()
	if want >= r.depth {
		r.depth, r.needed = want, now
	} else if now.Sub(r.needed) >= calmAfter {
		r.depth, r.needed = r.depth-1, now
	}
	p := r.link.plan()
	switch {
	case p.frames > 1: // no room for anything twice
	case red: // in-band correction beside RED would only cost quality
		p.depth = r.depth
	case r.depth > 0:
		p.fec, p.bitrate = max(1, int(math.Round(100*r.meter.share()))), fecBitrate
	}
	return p
}
