package demo

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/analysis"
	"github.com/peerd/peerd/cmd/peerd/internal/chart"
)

const (
	columns    = 1400 // pieces that a waveform is drawn in
	above      = 1.0  // where the spoken is drawn
	below      = -1.0 // where the heard is drawn
	fullHeight = 0.92 // of the loudest sample of both
)

// drawLeg draws all that was spoken and, below, all that was heard, on the clock
// of the one who speaks and at the same scale.
func drawLeg(c draw.Canvas, l drawnLeg) {
	p := chart.NewPlot(fmt.Sprintf("%s to %s: correlation %.3f, concealed %.2f %%, mouth to ear %.1f ms",
		l.From, l.To, l.Correlation, 100*l.ConcealedRatio, l.MouthToEarMS))
	scale := fullHeight / l.loudest()
	length := max(seconds(len(l.spoken)), l.later()+seconds(len(l.heard)))
	p.Add(wave(l.spoken, 0, above, scale, chart.Blue()), wave(l.heard, l.later(), below, scale, chart.Orange()))
	p.X.Min, p.X.Max = 0, length
	p.X.Label.Text = "seconds since " + l.From + " began to speak"
	twoRows(p)
	p.Draw(c)
}

// drawDelay draws a sudden sound closely, so that the delay is seen.
func drawDelay(c draw.Canvas, l drawnLeg) {
	at := seconds(onset(l.spoken))
	from, to := at-0.05, at+0.2
	delay := l.MouthToEarMS / 1000
	p := chart.NewPlot("the same, closely")
	scale := fullHeight / l.loudest()
	p.Add(
		wave(cut(l.spoken, from, to), from, above, scale, chart.Blue()),
		wave(cut(l.heard, from-l.later(), to-l.later()), from, below, scale, chart.Orange()),
	)
	if l.Recognised > 0 {
		p.Add(line(at, above, at, 2*below, chart.Blue()), line(at+delay, 0, at+delay, 2*below, chart.Orange()))
		p.Add(label(at+delay, 1.86*below, fmt.Sprintf(" %.1f ms", l.MouthToEarMS)))
	}
	p.X.Min, p.X.Max = from, to
	p.X.Label.Text = "seconds"
	twoRows(p)
	p.Draw(c)
}

// twoRows names the two waveforms.
func twoRows(p *plot.Plot) {
	p.Y.Min, p.Y.Max = 2*below, 2*above
	p.Y.Tick.Marker = plot.ConstantTicks{{Value: above, Label: "spoken"}, {Value: below, Label: "heard"}}
	p.Y.Tick.Length = 0
	p.Y.Width = 0.5
}

// wave draws pcm, whose first sample is at the second start, around y.
func wave(pcm []int16, start, y, scale float64, tone color.Color) plot.Plotter {
	n := min(columns, len(pcm))
	low, high := analysis.Envelope(pcm, n)
	outline := make(plotter.XYs, 2*n)
	for i := range n {
		x := start + seconds(len(pcm))*(float64(i)+0.5)/float64(n)
		outline[i] = plotter.XY{X: x, Y: y + scale*high[i]}
		outline[2*n-1-i] = plotter.XY{X: x, Y: y + scale*low[i]}
	}
	return polygon(outline, tone)
}

// later returns by how many seconds the heard begins after the spoken.
func (l drawnLeg) later() float64 { return float64(l.HeardStart-l.SpokenStart) / 1e9 }

// loudest returns the greatest magnitude of both, as a fraction of full scale.
func (l drawnLeg) loudest() float64 {
	peak := 0.01 // silence is drawn as a line
	for _, pcm := range [][]int16{l.spoken, l.heard} {
		for _, v := range pcm {
			peak = max(peak, math.Abs(float64(v))/(-math.MinInt16))
		}
	}
	return peak
}

// onset finds the sample where speech sets in most suddenly: where the 50 ms
// after it are the most louder than the 100 ms before.
func onset(pcm []int16) int {
	const after, before, step = audio.SampleRate / 20, audio.SampleRate / 10, audio.SampleRate / 200
	best, at := 0.0, 0
	for i := before; i+after <= len(pcm); i += step {
		rise := analysis.RMS(pcm[i:i+after]) - 3*analysis.RMS(pcm[i-before:i])
		if rise > best {
			best, at = rise, i
		}
	}
	return at
}

// cut returns the sound between two seconds, silent where there is none.
func cut(pcm []int16, from, to float64) []int16 {
	first, last := int(from*audio.SampleRate), int(to*audio.SampleRate)
	out := make([]int16, last-first)
	if first < len(pcm) && last > 0 {
		copy(out[max(0, -first):], pcm[max(0, first):min(len(pcm), last)])
	}
	return out
}

func seconds(samples int) float64 { return float64(samples) / audio.SampleRate }
