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
	muchLoss  = 0.03 // and from here on each frame is sent a third time, between two packets
	burstLoss = 0.02 // from here on, when losses come in bursts, each packet carries two frames before it
	bursty    = 1.7  // mean length of a burst, packets; independent losses of 30 % have 1.43

	// calmAfter is how long less would do before less is sent.
	calmAfter = 10 * time.Second
	// meterSpan is how many packets the loss is averaged over, 4 s.
	meterSpan  = 200
	meterPrior = 50 // packets without loss that are assumed at first
	burstPrior = 3  // single losses that are assumed at first
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

// burst is the mean number of packets lost in a row; a few single losses are
// assumed at first.
func (m *lossMeter) burst() float64 { return (m.lost + burstPrior) / (m.bursts + burstPrior) }

// plan is how frames are sent.
type plan struct {
	depth   int  // earlier frames in each packet, where the other end knows RED
	repeat  bool // each frame once more, 10 ms later, in a packet of its own
	fec     int  // percent of loss that in-band forward error correction is armed for
	bitrate int  // of the encoder, bit/s
	frames  int  // of 20 ms in one packet
}

// protection is how much is sent against loss. Each step costs more of the
// network, or of the delay: what repeated has sent three times the listener has
// within 20 ms, what spread has in 40, but in more than one burst's time.
type protection int

const (
	plain    protection = iota
	twice               // with the next packet
	repeated            // 10 ms later and with the next packet
	spread              // with the next packet and the one after it
)

// repair makes the plan.
type repair struct {
	mu       sync.Mutex
	meter    lossMeter
	link     link
	level    protection
	needed   time.Time // when this level was last wanted
	haveRuns bool      // the other end reports which packets are lost
}

func newPlan() plan { return plan{bitrate: voiceBitrate, frames: 1} }

// wanted is the protection for the present loss.
func (m *lossMeter) wanted() protection {
	share := m.share()
	switch {
	case share >= burstLoss && m.burst() >= bursty:
		return spread
	case share >= muchLoss:
		return repeated
	case share >= someLoss:
		return twice
	default:
		return plain
	}
}

// begin takes the round trip of ICE's checks, from before there is sound.
func (r *repair) begin(now time.Time, rtt time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rtt > 0 {
		r.link.roundTrip(now, rtt, 0, 0)
	}
}

// next is the plan after what has been reported up to now. red tells whether
// the other end knows RED.
func (r *repair) next(now time.Time, red bool) plan {
	if r.link.step > 0 { // what is lost now is lost to the queue
		r.meter, r.level = lossMeter{}, plain
	}
	want := r.meter.wanted()
	if want >= r.level {
		r.level, r.needed = want, now
	} else if now.Sub(r.needed) >= calmAfter {
		r.level, r.needed = r.level-1, now
	}
	p := r.link.plan()
	switch {
	case red: // in-band correction beside RED would only cost quality
		p.depth, p.repeat = r.depth()
	case r.level > plain:
		p.fec, p.bitrate = max(1, int(math.Round(100*r.meter.share()))), fecBitrate
	}
	return p
}

func (r *repair) depth() (depth int, repeat bool) {
	switch r.level {
	case spread:
		return 2, false
	case repeated:
		return 1, true
	case twice:
		return 1, false
	default:
		return 0, false
	}
}
