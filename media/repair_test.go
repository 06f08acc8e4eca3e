package media

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/peerd/peerd/media/playout"
)

// told is what a second's report says of packets, and the plan after it.
func (r *repair) told(now time.Time, arrived []bool) plan {
	r.readExtended(&rtcp.ExtendedReport{Reports: []rtcp.ReportBlock{lossRuns(1, playout.Report{Arrived: arrived})}}, 1)
	return r.next(now, true)
}

// losses draws n packets; bursts have a mean length, 0: independent.
func losses(random *rand.Rand, n int, share, mean float64) []bool {
	out, bad := make([]bool, n), false
	for i := range out {
		if mean == 0 {
			out[i] = random.Float64() >= share
			continue
		}
		leave := share / (1 - share) / mean
		if bad {
			leave = 1 / mean
		}
		bad = bad != (random.Float64() < leave)
		out[i] = !bad
	}
	return out
}

func TestProtectionFollowsLoss(t *testing.T) {
	for _, c := range []struct {
		name        string
		share, mean float64
		depth       int
		repeat      bool
	}{
		{"none", 0, 0, 0, false},
		{"5 %", 0.05, 0, 1, true},
		{"20 %", 0.2, 0, 1, true},
		{"30 %", 0.3, 0, 1, true},
		{"bursts", 0.1, 2.5, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 1))
			var r repair
			now := time.Unix(1_800_000_000, 0)
			var p plan
			for range 30 {
				now = now.Add(time.Second)
				p = r.told(now, losses(random, 75, c.share, c.mean))
			}
			if p.depth != c.depth || p.repeat != c.repeat {
				t.Errorf("%+v, with a loss of %.3f in bursts of %.2f", p, r.meter.share(), r.meter.burst())
			}
			for range 45 {
				now = now.Add(time.Second)
				p = r.told(now, losses(random, 50, 0, 0))
			}
			if p != newPlan() {
				t.Errorf("%+v, 45 s after the last loss", p)
			}
		})
	}
}

func TestInBandCorrectionWithoutRED(t *testing.T) {
	var r repair
	r.meter.add(1000, 100, 100)
	if p := r.next(time.Unix(0, 0), false); p.depth != 0 || p.repeat || p.fec < 8 || p.bitrate != fecBitrate {
		t.Errorf("%+v", p)
	}
}

func TestRunsOfLossSurviveTheWire(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	for n := range 100 {
		arrived := losses(random, n, 0.3, 2)
		lost, rows := 0, 0
		for i, ok := range arrived {
			if !ok {
				lost++
				if i == 0 || arrived[i-1] {
					rows++
				}
			}
		}
		raw, err := (&rtcp.ExtendedReport{Reports: []rtcp.ReportBlock{lossRuns(7, playout.Report{First: 65500, Arrived: arrived})}}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		var back rtcp.ExtendedReport
		if err = back.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		gotN, gotLost, gotRows := countRuns(back.Reports[0].(*rtcp.LossRLEReportBlock))
		if gotN != n || gotLost != lost || gotRows != rows {
			t.Fatalf("%d packets, %d lost in %d rows; read %d, %d, %d", n, lost, rows, gotN, gotLost, gotRows)
		}
	}
}

// TestNarrowLink plays a bottleneck whose queue grows as long as more is sent
// than fits.
func TestNarrowLink(t *testing.T) {
	wire := func(p plan) float64 { return float64(p.bitrate) + 20000/float64(p.frames) }
	for _, room := range []float64{1e6, 60e3, 30e3, 20e3} {
		var l link
		now, queue := time.Unix(1_800_000_000, 0), 0.0
		full := 0
		l.roundTrip(now, 40*time.Millisecond, 0, 0)
		for i := range 120 {
			now = now.Add(time.Second)
			queue = min(max(0, queue+wire(l.plan())/room-1), 0.4)
			if i > 10 && queue > 0.2 {
				full++
			}
			l.roundTrip(now, 40*time.Millisecond+time.Duration(queue*float64(time.Second)), 0, max(0, 1-room/wire(l.plan())))
		}
		t.Logf("%.0f bit/s: %+v, %d s of a full queue", room, l.plan(), full)
		if wire(l.plan()) > 1.5*room || full > 25 {
			t.Errorf("%.0f bit/s: %+v, %d s of a full queue", room, l.plan(), full)
		}
		if room > 50e3 && l.step != 0 {
			t.Errorf("%.0f bit/s: %+v", room, l.plan())
		}
	}
}

// TestLongerWayIsNoQueue: the round trip grows at once and for good.
func TestLongerWayIsNoQueue(t *testing.T) {
	var l link
	now := time.Unix(1_800_000_000, 0)
	for i := range 60 {
		rtt := 40 * time.Millisecond
		if i > 10 {
			rtt = 400 * time.Millisecond
		}
		now = now.Add(time.Second)
		l.roundTrip(now, rtt, 0, 0)
	}
	if l.step != 0 {
		t.Errorf("%+v long after the way became longer", l.plan())
	}
}
