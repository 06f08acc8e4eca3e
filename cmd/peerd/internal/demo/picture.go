package demo

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"github.com/peerd/peerd/cmd/peerd/internal/chart"
)

// The sheet: a heading, below it the login and the call, and a row per leg.
const (
	sheetWidth  = 15 * vg.Inch
	sheetHeight = 10.5 * vg.Inch
	sheetDPI    = 110
	margin      = 18
	heading     = 58
	bars        = 0.27 // of the height below the heading
	detail      = 0.27 // of the width, for the close look at the delay
)

// drawnLeg is a leg with its sound.
type drawnLeg struct {
	Leg
	spoken, heard []int16 // 48 kHz
}

// drawReport draws the report into the PNG file path.
func drawReport(path string, r Report, legs []drawnLeg) error {
	img := vgimg.NewWith(vgimg.UseWH(sheetWidth, sheetHeight), vgimg.UseDPI(sheetDPI), vgimg.UseBackgroundColor(color.White))
	sheet := draw.Crop(draw.New(img), margin, -margin, margin, -margin)
	drawHeading(sheet, r)
	below := sheet.Max.Y - sheet.Min.Y - heading
	top := draw.Crop(sheet, 0, 0, below*(1-bars), -heading)
	width := top.Max.X - top.Min.X
	drawBars(draw.Crop(top, 0, -width*0.52, 0, 0), "Login: from start to online, ms", loginBars(r))
	drawBars(draw.Crop(top, width*0.5, 0, 0, 0), "Call: ms since alice called", callBars(r))
	for i, l := range legs {
		height := below * (1 - bars) / vg.Length(len(legs))
		row := draw.Crop(sheet, 0, 0, height*vg.Length(len(legs)-1-i), -(heading + below*bars + height*vg.Length(i)))
		drawLeg(draw.Crop(row, 0, -width*detail, 0, -12), l)
		drawDelay(draw.Crop(row, width*(1-detail)+12, 0, 0, -12), l)
	}
	return chart.SavePNG(path, img)
}

// drawHeading says in one line what happened, and in another how it went.
func drawHeading(c draw.Canvas, r Report) {
	at := vg.Point{X: c.Min.X, Y: c.Max.Y - 20}
	c.FillText(chart.Style(20, chart.Ink(), true), at, "peerd: one call through an overlay of five nodes")
	verdict, tone := "what was heard is what was spoken, both ways", chart.Blue()
	if !r.OK {
		verdict, tone = "FAILED: "+r.Problems[0], chart.Red()
	}
	c.FillText(chart.Style(12, tone, false), vg.Point{X: at.X, Y: at.Y - 20}, verdict)
	facts := chart.Style(12, chart.PaleInk(), false)
	facts.XAlign = draw.XRight
	c.FillText(facts, vg.Point{X: c.Max.X, Y: at.Y}, fmt.Sprintf("path %s, talk %.1f s", r.Path, r.TalkS))
}
