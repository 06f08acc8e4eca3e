package soundlab

import (
	"errors"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// line is one curve of a picture.
type line struct {
	name   string
	colour color.Color
	points plotter.XYs
}

var (
	blue   = color.RGBA{0x1f, 0x4e, 0x79, 0xff}
	orange = color.RGBA{0xe0, 0x8a, 0x2c, 0xff}
	grey   = color.RGBA{0x8a, 0x98, 0xa8, 0xff}
	red    = color.RGBA{0xb3, 0x26, 0x1e, 0xff}
)

// savePNG draws delay and target above, loss and concealment of each second below.
func (r *Result) savePNG(path string) error {
	delays, err := panel(r.Profile+": delay", "ms",
		line{"mouth to ear", grey, r.mouthToEar()},
		line{"playout", blue, r.curve(func(_, s Sample) float64 { return s.DelayMS })},
		line{"target", orange, r.curve(func(_, s Sample) float64 { return s.TargetMS })})
	if err != nil {
		return err
	}
	losses, err := panel("loss and concealment", "% of a second",
		line{"lost", grey, r.curve(func(a, b Sample) float64 { return share(b.Sent-a.Sent-(b.Got-a.Got), b.Sent-a.Sent) })},
		line{"concealed", red, r.curve(func(a, b Sample) float64 { return share(b.Concealed-a.Concealed, b.Frames-a.Frames) })})
	if err != nil {
		return err
	}
	img := vgimg.New(9*vg.Inch, 6*vg.Inch)
	all := draw.New(img)
	half := all.Size().Y / 2
	delays.Draw(draw.Crop(all, 0, 0, half, 0))
	losses.Draw(draw.Crop(all, 0, 0, 0, -half))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = vgimg.PngCanvas{Canvas: img}.WriteTo(f)
	return errors.Join(err, f.Close())
}

func panel(title, unit string, lines ...line) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "s", unit
	p.Y.Min, p.Legend.Top = 0, true
	for _, l := range lines {
		curve, err := plotter.NewLine(l.points)
		if err != nil {
			return nil, err
		}
		curve.Color = l.colour
		p.Add(curve)
		p.Legend.Add(l.name, curve)
	}
	return p, nil
}

func (r *Result) mouthToEar() plotter.XYs {
	out := make(plotter.XYs, 0, len(r.Windows)+1)
	for _, w := range r.Windows {
		out = append(out, plotter.XY{X: w.At.Seconds(), Y: w.MS})
	}
	if len(out) == 0 { // nothing was recognised, and a plot wants a point
		out = append(out, plotter.XY{})
	}
	return out
}

// curve applies f to each sample and the one of a second before.
func (r *Result) curve(f func(before, now Sample) float64) plotter.XYs {
	out := make(plotter.XYs, len(r.Samples))
	for i, s := range r.Samples {
		var before Sample
		if i >= 10 {
			before = r.Samples[i-10]
		}
		out[i] = plotter.XY{X: s.At.Seconds(), Y: f(before, s)}
	}
	return out
}

func share(part, whole float64) float64 { return 100 * max(0, part) / max(1, whole) }
