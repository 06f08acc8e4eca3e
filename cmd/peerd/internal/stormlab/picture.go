package stormlab

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"github.com/peerd/peerd/cmd/peerd/internal/chart"
)

const (
	sheetWidth  = 14 * vg.Inch
	sheetHeight = 5.6 * vg.Inch
	sheetDPI    = 100
	margin      = 18
	heading     = 50
)

// Draw draws results of one scenario side by side into a PNG file: the nodes back
// over time, and how busy the busiest node and the bootstrap nodes were.
func Draw(path string, results []Result) error {
	img := vgimg.NewWith(vgimg.UseWH(sheetWidth, sheetHeight), vgimg.UseDPI(sheetDPI), vgimg.UseBackgroundColor(color.White))
	sheet := draw.Crop(draw.New(img), margin, -margin, margin, -margin)
	first := results[0]
	sheet.FillText(chart.Style(18, chart.Ink(), true), vg.Point{X: sheet.Min.X, Y: sheet.Max.Y - 18},
		fmt.Sprintf("peerd storm: %s, %d nodes", first.Scenario, first.Nodes))
	m := first.Model
	sheet.FillText(chart.Style(10, chart.PaleInk(), false), vg.Point{X: sheet.Min.X, Y: sheet.Max.Y - 34},
		fmt.Sprintf("a log-in costs %.1f ms of servers, a refusal %.0f us; a server serves %.1f log-ins/s; %.0f %% of all can serve; least possible for 99 %%: %.2f s; seed %d",
			m.CostWhole/1000, m.CostRefuse, m.K, 100*m.S, first.BoundS, first.Seed))
	width := (sheet.Max.X - sheet.Min.X) / 3
	end := span(results)
	for i, part := range []struct {
		title, axis string
		points      func(Result) plotter.XYs
		full        bool
	}{
		{"Nodes back, % of all (from the event on)", "seconds", backPoints, true},
		{"Busiest node, % of its capacity", "seconds", func(r Result) plotter.XYs { return busyPoints(r.BusySeries) }, false},
		{"Busiest bootstrap node, % of its capacity", "seconds", func(r Result) plotter.XYs { return busyPoints(r.BootSeries) }, false},
	} {
		p := chart.NewPlot(part.title)
		p.X.Label.Text = part.axis
		p.X.Min, p.X.Max = 0, end
		p.Y.Min = 0
		for k, r := range results {
			addLine(p, k, r.label(), part.points(r))
		}
		p.X.Max, p.Y.Max = end, max(p.Y.Max, 100)*1.04
		if !part.full {
			p.Y.Max *= 1.15 // room for the legend
		}
		p.Legend.Top = !part.full
		p.Legend.TextStyle = chart.Style(10, chart.Ink(), false)
		p.Draw(draw.Crop(sheet, width*vg.Length(i)+6, -width*vg.Length(2-i)-6, 0, -heading))
	}
	return chart.SavePNG(path, img)
}

func (r Result) label() string {
	name := r.Policy
	for _, w := range r.Without {
		name += " without " + w
	}
	return name
}

// span is how much time is shown: until the slowest is nearly back, within reason
// for the quickest to be seen.
func span(results []Result) float64 {
	end := 10.0
	for _, r := range results {
		t := r.T99
		if t < 0 {
			t = r.HorizonS
		}
		end = max(end, 1.15*t)
	}
	return 5 * math.Ceil(end/5)
}

func addLine(p *plot.Plot, i int, name string, points plotter.XYs) {
	if len(points) == 0 {
		return
	}
	line, err := plotter.NewLine(points)
	if err != nil { // only points that are no numbers
		return
	}
	tones := []color.Color{chart.Blue(), chart.Orange(), chart.Grey(), chart.Red()}
	line.Color, line.Width = tones[i%len(tones)], 1.8
	if i > 0 {
		line.Dashes = []vg.Length{vg.Length(2 + 4*i), 3}
	}
	p.Add(line)
	p.Legend.Add(name, line)
}

func backPoints(r Result) plotter.XYs {
	var points plotter.XYs
	for i, back := range r.BackSeries {
		points = append(points, plotter.XY{X: float64(i) * sampleEvery.Seconds(), Y: 100 * back / max(float64(r.Counted), 1)})
	}
	return points
}

func busyPoints(series []float64) plotter.XYs {
	var points plotter.XYs
	for sec, share := range series {
		points = append(points, plotter.XY{X: float64(sec), Y: 100 * share}, plotter.XY{X: float64(sec + 1), Y: 100 * share})
	}
	return points
}
