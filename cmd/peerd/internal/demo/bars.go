package demo

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/peerd/peerd/cmd/peerd/internal/chart"
)

// bar is a span of time with a name, drawn from left to right.
type bar struct {
	name     string
	from, to float64 // ms
	tone     color.Color
}

func loginBars(r Report) []bar {
	var b []bar
	for _, n := range r.Nodes {
		tone := chart.Blue()
		if n.Role == "server" {
			tone = chart.Grey()
		}
		b = append(b, bar{name: n.Name, to: n.LoginMS, tone: tone})
	}
	return b
}

func callBars(r Report) []bar {
	var b []bar
	for _, s := range r.Timeline {
		b = append(b, bar{name: s.What, from: s.From, to: s.To, tone: chart.Orange()})
	}
	return b
}

// drawBars draws the bars below each other, the first on top, each with how long
// it took.
func drawBars(c draw.Canvas, title string, bars []bar) {
	p := chart.NewPlot(title)
	end := 1.0
	var ticks []plot.Tick
	for i, b := range bars {
		y := float64(len(bars) - 1 - i)
		ticks = append(ticks, plot.Tick{Value: y, Label: b.name})
		p.Add(rectangle(b.from, b.to, y-0.32, y+0.32, b.tone))
		p.Add(label(b.to, y, fmt.Sprintf(" %.*f", digits(b.to-b.from), b.to-b.from)))
		end = max(end, b.to)
	}
	p.X.Min, p.X.Max = 0, end*1.08
	p.Y.Min, p.Y.Max = -0.6, float64(len(bars))-0.4
	p.Y.Tick.Marker = plot.ConstantTicks(ticks)
	p.Y.Tick.Length = 0
	p.Y.Width = 0.5
	p.Draw(c)
}

// digits after the point: small times have one.
func digits(v float64) int {
	if v < 100 {
		return 1
	}
	return 0
}

func rectangle(x0, x1, y0, y1 float64, tone color.Color) plot.Plotter {
	return polygon(plotter.XYs{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}}, tone)
}

// polygon fills an outline of finite points.
func polygon(outline plotter.XYs, tone color.Color) plot.Plotter {
	return &plotter.Polygon{XYs: []plotter.XYs{outline}, Color: tone, LineStyle: draw.LineStyle{Color: tone, Width: 0.4}}
}

// label writes text to the right of a point.
func label(x, y float64, words string) plot.Plotter {
	st := chart.Style(10, chart.Ink(), false)
	st.YAlign = draw.YCenter
	return &plotter.Labels{XYs: plotter.XYs{{X: x, Y: y}}, Labels: []string{words}, TextStyle: []draw.TextStyle{st}}
}

// line draws a thin dashed line between two points.
func line(x0, y0, x1, y1 float64, tone color.Color) plot.Plotter {
	return &plotter.Line{
		XYs:       plotter.XYs{{X: x0, Y: y0}, {X: x1, Y: y1}},
		LineStyle: draw.LineStyle{Color: tone, Width: 1, Dashes: []vg.Length{3, 3}},
	}
}
