// Package chart is how the program's pictures look: colours, letters, axes, and
// the way to a PNG file.
package chart

import (
	"bufio"
	"errors"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// The colours are told apart in grey, too.

// Ink is for letters.
func Ink() color.Color { return color.RGBA{0x22, 0x2b, 0x38, 0xff} }

// PaleInk is for axes and remarks.
func PaleInk() color.Color { return color.RGBA{0x75, 0x80, 0x8f, 0xff} }

// Blue is for what is ours, or was spoken.
func Blue() color.Color { return color.RGBA{0x1f, 0x4e, 0x79, 0xff} }

// Orange is for what stands against it.
func Orange() color.Color { return color.RGBA{0xe0, 0x8a, 0x2c, 0xff} }

// Grey is for the rest.
func Grey() color.Color { return color.RGBA{0x8a, 0x98, 0xa8, 0xff} }

// Red is for what went wrong.
func Red() color.Color { return color.RGBA{0xb3, 0x26, 0x1e, 0xff} }

// SavePNG writes a picture to the file path.
func SavePNG(path string, img *vgimg.Canvas) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	_, err = vgimg.PngCanvas{Canvas: img}.WriteTo(w)
	return errors.Join(err, w.Flush(), f.Close())
}

// Style is a text style in the program's font.
func Style(size float64, tone color.Color, bold bool) text.Style {
	f := plot.DefaultFont
	f.Typeface, f.Variant = "Liberation", "Sans"
	f.Size = font.Length(size)
	if bold {
		f.Weight = 3 // golang.org/x/image/font.WeightBold
	}
	return text.Style{Color: tone, Font: f, Handler: plot.DefaultTextHandler}
}

// NewPlot is an empty plot in the program's dress.
func NewPlot(title string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	p.Title.Text, p.Title.TextStyle = title, Style(13, Ink(), true)
	p.Title.TextStyle.XAlign, p.Title.TextStyle.YAlign = draw.XCenter, draw.YTop
	p.Title.Padding = 6
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Color = PaleInk()
		a.Tick.Color = PaleInk()
		align := a.Tick.Label
		a.Tick.Label = Style(10, Ink(), false)
		a.Tick.Label.XAlign, a.Tick.Label.YAlign = align.XAlign, align.YAlign
		label := a.Label.TextStyle
		a.Label.TextStyle = Style(10, PaleInk(), false)
		a.Label.TextStyle.XAlign, a.Label.TextStyle.YAlign = label.XAlign, label.YAlign
		a.Label.TextStyle.Rotation = label.Rotation
	}
	return p
}
