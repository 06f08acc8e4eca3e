package media_test

import (
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v5"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/media/mediatest"
)

// power is the share of x's energy at hz (Goertzel), 0..1.
func power(x []int16, hz float64) float64 {
	var re, im, all float64
	for i, v := range x {
		w := 2 * math.Pi * hz * float64(i) / audio.SampleRate
		re += float64(v) * math.Cos(w)
		im += float64(v) * math.Sin(w)
		all += float64(v) * float64(v)
	}
	if all == 0 {
		return 0
	}
	return 2 * (re*re + im*im) / (all * float64(len(x)))
}

func configs(c *mediatest.Codec) [2]media.SessionConfig {
	one := media.SessionConfig{Encoder: c.Encoder, Decoder: c.Decoder}
	return [2]media.SessionConfig{one, one}
}

// tail is the last d of what a card has played.
func tail(c *mediatest.Card, d time.Duration) []int16 {
	heard := c.Heard()
	n := int(d * audio.SampleRate / time.Second)
	return heard[max(0, len(heard)-n):]
}

// await waits for ok with a deadline.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit, tick := time.NewTimer(30*time.Second), time.NewTicker(10*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func TestToneBothWays(t *testing.T) {
	for name, nets := range map[string]func(t *testing.T) [2]transport.Net{
		"loopback": func(*testing.T) [2]transport.Net { return [2]transport.Net{} },
		"link": func(t *testing.T) [2]transport.Net {
			return mediatest.NewLink(t, 1, mediatest.Weather{Delay: 20 * time.Millisecond}).Nets
		},
	} {
		run := func(t *testing.T) {
			var codec mediatest.Codec
			p := mediatest.NewPair(t, nets(t), configs(&codec))
			p.Connect(t)
			p.AwaitUp(t)
			cards := [2]*mediatest.Card{{Mic: mediatest.Tone(440)}, {Mic: mediatest.Tone(1000)}}
			for i, e := range p {
				if err := e.Session.Start(cards[i]); err != nil {
					t.Fatal(err)
				}
			}
			await(t, "tones at both ends", func() bool {
				return power(tail(cards[0], time.Second/2), 1000) > 0.9 && power(tail(cards[1], time.Second/2), 440) > 0.9
			})
			for _, e := range p {
				t.Logf("%+v %+v", e.Session.Stats(), e.Session.Path())
				if kind := e.Session.Path().Kind(); kind != "direct" {
					t.Errorf("path is %q, want direct", kind)
				}
				e.Await(t, "FirstSound", mediatest.Is[media.FirstSound])
				_ = e.Session.Close()
			}
			if n := codec.Open(); n != 0 {
				t.Errorf("%d codecs left open", n)
			}
		}
		if name == "link" {
			t.Run(name, func(t *testing.T) { synctest.Test(t, run) })
		} else {
			t.Run(name, run)
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// pass lets virtual time go by, inside synctest.
func pass(d time.Duration) { <-time.After(d) }
