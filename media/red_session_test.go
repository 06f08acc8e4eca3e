package media_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v5"

	"github.com/peerd/peerd/media/mediatest"
)

// lossyCall lets two ends talk for 20 s with 10 % of independent loss.
func lossyCall(t *testing.T, p mediatest.Pair, link *mediatest.Link, devices [2]*mediatest.Card) {
	t.Helper()
	p.AwaitUp(t)
	link.Set(mediatest.Weather{Delay: 10 * time.Millisecond, Loss: 0.1})
	for i, e := range p {
		if err := e.Session.Start(devices[i]); err != nil {
			t.Fatal(err)
		}
	}
	pass(20 * time.Second)
}

func TestLossIsRepairedByRedundancy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var codec mediatest.Codec
		link := mediatest.NewLink(t, 7, mediatest.Weather{Delay: 10 * time.Millisecond})
		p := mediatest.NewPair(t, link.Nets, configs(&codec))
		p.Connect(t)
		lossyCall(t, p, link, [2]*mediatest.Card{{Mic: mediatest.Tone(440)}, {}})
		before := p[1].Session.Stats()
		pass(20 * time.Second)
		s := p[1].Session.Stats()
		t.Logf("%+v", s)
		if sent := p[0].Session.Stats(); sent.Redundancy != 1 || !sent.Repeated {
			t.Errorf("sent with redundancy %d, repeated %v", sent.Redundancy, sent.Repeated)
		}
		made := float64(s.ConcealedSamples-before.ConcealedSamples) / float64(s.PlayedSamples-before.PlayedSamples)
		if made > 0.01 || s.Recovered < 100 {
			t.Errorf("%.4f made up at 10 %% loss, %d recovered", made, s.Recovered)
		}
		if s.PlayoutDelayMS > 35 {
			t.Errorf("playout delay %.1f ms", s.PlayoutDelayMS)
		}
		link.Set(mediatest.Weather{Delay: 10 * time.Millisecond})
		pass(60 * time.Second)
		bytesBefore := p[0].Session.Stats().PacketsSent
		pass(2 * time.Second)
		sent := p[0].Session.Stats()
		if sent.Redundancy != 0 || sent.Repeated || sent.PacketsSent-bytesBefore > 102 {
			t.Errorf("a minute after the last loss still redundant: %+v", sent)
		}
		if d := p[1].Session.Stats().PlayoutDelayMS; d > 20 {
			t.Errorf("a minute after the last loss the playout delay is %.1f ms", d)
		}
	})
}

// TestPeerWithoutRED: its description does not name it, and it gets plain Opus.
func TestPeerWithoutRED(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var codec mediatest.Codec
		link := mediatest.NewLink(t, 7, mediatest.Weather{Delay: 10 * time.Millisecond})
		p := mediatest.NewPair(t, link.Nets, configs(&codec))
		without := func(sdp []byte) []byte {
			var out []string
			for _, l := range strings.SplitAfter(string(sdp), "\r\n") {
				if !strings.HasPrefix(l, "a=rtpmap:63") && !strings.HasPrefix(l, "a=fmtp:63") {
					out = append(out, strings.Replace(l, " 111 63 ", " 111 ", 1))
				}
			}
			return []byte(strings.Join(out, ""))
		}
		p.ConnectThrough(t, without)
		lossyCall(t, p, link, [2]*mediatest.Card{{Mic: mediatest.Tone(440)}, {}})
		sent, heard := p[0].Session.Stats(), p[1].Session.Stats()
		if sent.Redundancy != 0 || sent.Repeated || !sent.FEC {
			t.Errorf("sent %+v", sent)
		}
		if heard.Foreign != 0 || heard.PacketsReceived < 800 || heard.PacketsReceived > 1000 {
			t.Errorf("heard %+v", heard)
		}
	})
}

func TestDescriptionOffersRED(t *testing.T) {
	var codec mediatest.Codec
	p := mediatest.NewPair(t, [2]transport.Net{}, configs(&codec))
	offer, err := p[0].Session.Offer(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p[1].Session.Answer(context.Background(), offer)
	if err != nil {
		t.Fatal(err)
	}
	for name, sdp := range map[string][]byte{"offer": offer, "answer": answer} {
		for _, line := range []string{"a=rtpmap:63 red/48000/2\r\n", "a=fmtp:63 111/111\r\n"} {
			if !bytes.Contains(sdp, []byte(line)) {
				t.Errorf("%s without %q", name, line)
			}
		}
	}
}

// TestEchoForwardsRedundancy: an echo node sends RED back as it came.
func TestEchoForwardsRedundancy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var codec mediatest.Codec
		link := mediatest.NewLink(t, 7, mediatest.Weather{Delay: 10 * time.Millisecond})
		cfg := configs(&codec)
		cfg[1].Echo = true
		p := mediatest.NewPair(t, link.Nets, cfg)
		p.Connect(t)
		p.AwaitUp(t)
		card := &mediatest.Card{Mic: mediatest.Tone(440)}
		p[0].Session.Protect(1, true)
		if err := p[0].Session.Start(card); err != nil {
			t.Fatal(err)
		}
		if err := p[1].Session.Start(nil); err != nil {
			t.Fatal(err)
		}
		link.Set(mediatest.Weather{Delay: 10 * time.Millisecond, Loss: 0.05})
		pass(10 * time.Second)
		s := p[0].Session.Stats()
		if s.Recovered < 10 || s.ConcealedRatio > 0.05 || s.PacketsReceived < 800 {
			t.Errorf("of what came back: %+v", s)
		}
	})
}
