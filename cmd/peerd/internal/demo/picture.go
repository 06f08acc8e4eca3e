package demo

import (
	"bufio"
	"errors"
	"fmt"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
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

// The colours are told apart in grey, too.
func ink() color.Color        { return color.RGBA{0x22, 0x2b, 0x38, 0xff} }
func paleInk() color.Color    { return color.RGBA{0x75, 0x80, 0x8f, 0xff} }
func spokenInk() color.Color  { return color.RGBA{0x1f, 0x4e, 0x79, 0xff} }
func heardInk() color.Color   { return color.RGBA{0xe0, 0x8a, 0x2c, 0xff} }
func serverInk() color.Color  { return color.RGBA{0x8a, 0x98, 0xa8, 0xff} }
func failureInk() color.Color { return color.RGBA{0xb3, 0x26, 0x1e, 0xff} }

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
	return savePNG(path, img)
}

func savePNG(path string, img *vgimg.Canvas) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	_, err = vgimg.PngCanvas{Canvas: img}.WriteTo(w)
	return errors.Join(err, w.Flush(), f.Close())
}

// drawHeading says in one line what happened, and in another how it went.
func drawHeading(c draw.Canvas, r Report) {
	at := vg.Point{X: c.Min.X, Y: c.Max.Y - 20}
	c.FillText(style(20, ink(), true), at, "peerd: one call through an overlay of five nodes")
	verdict, tone := "what was heard is what was spoken, both ways", spokenInk()
	if !r.OK {
		verdict, tone = "FAILED: "+r.Problems[0], failureInk()
	}
	c.FillText(style(12, tone, false), vg.Point{X: at.X, Y: at.Y - 20}, verdict)
	facts := style(12, paleInk(), false)
	facts.XAlign = draw.XRight
	c.FillText(facts, vg.Point{X: c.Max.X, Y: at.Y}, fmt.Sprintf("path %s, talk %.1f s", r.Path, r.TalkS))
}

// style is a text style in the sheet's font.
func style(size float64, tone color.Color, bold bool) text.Style {
	f := plot.DefaultFont
	f.Typeface, f.Variant = "Liberation", "Sans"
	f.Size = font.Length(size)
	if bold {
		f.Weight = 3 // golang.org/x/image/font.WeightBold
	}
	return text.Style{Color: tone, Font: f, Handler: plot.DefaultTextHandler}
}

// newPlot is an empty plot in the sheet's dress.
func newPlot(title string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	p.Title.Text, p.Title.TextStyle = title, style(13, ink(), true)
	p.Title.TextStyle.XAlign, p.Title.TextStyle.YAlign = draw.XCenter, draw.YTop
	p.Title.Padding = 6
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Color = paleInk()
		a.Tick.Color = paleInk()
		align := a.Tick.Label
		a.Tick.Label = style(10, ink(), false)
		a.Tick.Label.XAlign, a.Tick.Label.YAlign = align.XAlign, align.YAlign
		label := a.Label.TextStyle
		a.Label.TextStyle = style(10, paleInk(), false)
		a.Label.TextStyle.XAlign, a.Label.TextStyle.YAlign = label.XAlign, label.YAlign
		a.Label.TextStyle.Rotation = label.Rotation
	}
	return p
}
