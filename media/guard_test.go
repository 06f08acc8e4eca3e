package media_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v5"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/media/mediatest"
)

// isRTP tells SRTP and SRTCP from STUN and DTLS (RFC 7983).
func isRTP(b []byte) bool { return len(b) > 0 && b[0] >= 128 && b[0] <= 191 }

func TestNothingLeavesOrIsPlayedBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var codec mediatest.Codec
		link := mediatest.NewLink(t, 1, mediatest.Weather{Delay: time.Millisecond})
		var sent [2]int
		link.Tap(func(from int, b []byte) {
			if isRTP(b) {
				sent[from]++
			}
		})
		p := mediatest.NewPair(t, link.Nets, configs(&codec))
		p.Connect(t)
		p.AwaitUp(t)
		pass(5 * time.Second)
		synctest.Wait()
		link.Tap(nil)
		if sent != [2]int{} {
			t.Fatalf("RTP or RTCP packets before Start: %v", sent)
		}
		// One end starts: the other drops what it gets, and answers nothing.
		link.Tap(func(from int, b []byte) {
			if isRTP(b) {
				sent[from]++
			}
		})
		caller, callee := &mediatest.Card{Mic: mediatest.Tone(440)}, &mediatest.Card{}
		if err := p[0].Session.Start(caller); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		synctest.Wait()
		link.Tap(nil)
		if sent[0] < 45 || sent[1] != 0 {
			t.Errorf("sent %v packets, wanted about 50 by the starting end alone", sent)
		}
		s := p[1].Session.Stats()
		if s.Early < 45 || s.PacketsReceived != 0 {
			t.Errorf("before Start %d dropped, %d taken", s.Early, s.PacketsReceived)
		}
		if err := p[1].Session.Start(callee); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if power(tail(callee, time.Second/2), 440) < 0.9 {
			t.Error("no tone after both started")
		}
		if err := p[1].Session.Start(callee); !errors.Is(err, media.ErrState) {
			t.Errorf("second Start: %v", err)
		}
	})
}

func TestWeather(t *testing.T) {
	for _, c := range []struct {
		name    string
		weather mediatest.Weather
		lasts   time.Duration
		check   func(t *testing.T, s media.Stats)
	}{
		// Redundancy begins when the other end has reported a loss: a small part of a minute.
		{"loss", mediatest.Weather{Delay: 20 * time.Millisecond, Loss: 0.1}, time.Minute, func(t *testing.T, s media.Stats) {
			if share := float64(s.Lost) / float64(s.Lost+s.PacketsReceived); share < 0.05 || share > 0.15 {
				t.Errorf("lost %.3f at 10 %%", share)
			}
			if s.ConcealedRatio > 0.02 { // the rest comes again
				t.Errorf("concealed %.3f at 10 %% loss", s.ConcealedRatio)
			}
			if s.RemoteLoss < 0.02 {
				t.Errorf("other end reports a loss of %.3f", s.RemoteLoss)
			}
		}},
		{"duplicates", mediatest.Weather{Delay: 20 * time.Millisecond, Duplicate: 0.5}, 20 * time.Second, func(t *testing.T, s media.Stats) {
			// SRTP's replay protection takes them out before they are seen.
			if s.PacketsReceived > 1010 || s.ConcealedRatio > 0.001 {
				t.Errorf("duplicates were played: %+v", s)
			}
		}},
		{"jitter and reorder", mediatest.Weather{Delay: 20 * time.Millisecond, Jitter: 50 * time.Millisecond}, 20 * time.Second, func(t *testing.T, s media.Stats) {
			if s.Reordered == 0 {
				t.Error("nothing was reordered")
			}
			if s.Lost > 2 || s.ConcealedRatio > 0.02 {
				t.Errorf("lost %d, concealed %.3f with 0-50 ms of jitter", s.Lost, s.ConcealedRatio)
			}
			if s.PlayoutDelayMS < 30 || s.PlayoutDelayMS > 80 {
				t.Errorf("playout delay %.1f ms with 0-50 ms of jitter", s.PlayoutDelayMS)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var codec mediatest.Codec
				link := mediatest.NewLink(t, 7, c.weather)
				p := mediatest.NewPair(t, link.Nets, configs(&codec))
				p.Connect(t)
				p.AwaitUp(t)
				for _, e := range p {
					if err := e.Session.Start(&mediatest.Card{Mic: mediatest.Tone(440)}); err != nil {
						t.Fatal(err)
					}
				}
				pass(c.lasts)
				for _, e := range p {
					t.Logf("%+v", e.Session.Stats())
					c.check(t, e.Session.Stats())
				}
			})
		})
	}
}

func TestPathIsLostAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var codec mediatest.Codec
		link := mediatest.NewLink(t, 1, mediatest.Weather{Delay: 10 * time.Millisecond})
		p := mediatest.NewPair(t, link.Nets, configs(&codec))
		p.Connect(t)
		p.AwaitUp(t)
		before := time.Now()
		link.Set(mediatest.Weather{Down: true})
		p[0].Await(t, "PathLost", mediatest.Is[media.PathLost])
		if d := time.Since(before); d < 2*time.Second || d > 4*time.Second {
			t.Errorf("loss noticed after %v", d)
		}
		link.Set(mediatest.Weather{Delay: 10 * time.Millisecond})
		ups := 0
		await(t, "a second PathUp", func() bool {
			ups = 0
			for _, ev := range p[0].Seen() {
				if mediatest.Is[media.PathUp](ev) {
					ups++
				}
			}
			return ups == 2
		})
		link.Set(mediatest.Weather{Down: true})
		ev := p[0].Await(t, "PathClosed", mediatest.Is[media.PathClosed]).(media.PathClosed)
		if !errors.Is(ev.Err, media.ErrPathFailed) {
			t.Errorf("closed with %v", ev.Err)
		}
	})
}

func TestRemoteCloseIsReported(t *testing.T) {
	var codec mediatest.Codec
	p := mediatest.NewPair(t, [2]transport.Net{}, configs(&codec))
	p.Connect(t)
	p.AwaitUp(t)
	if err := p[0].Session.Close(); err != nil {
		t.Fatal(err)
	}
	ev := p[1].Await(t, "PathClosed", mediatest.Is[media.PathClosed]).(media.PathClosed)
	if !errors.Is(ev.Err, media.ErrRemoteClosed) {
		t.Errorf("closed with %v", ev.Err)
	}
	if err := p[0].Session.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := p[0].Session.Start(&mediatest.Card{}); !errors.Is(err, media.ErrClosed) {
		t.Errorf("Start after Close: %v", err)
	}
}

func TestWrongFingerprintIsRefused(t *testing.T) {
	var codec mediatest.Codec
	p := mediatest.NewPair(t, [2]transport.Net{}, configs(&codec))
	ctx := context.Background()
	offer, err := p[0].Session.Offer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	good := p[0].Session.Fingerprint()
	bad := good[:len(good)-2] + "00"
	if bad == good {
		bad = good[:len(good)-2] + "01"
	}
	forged := bytes.ReplaceAll(offer, []byte(good), []byte(bad))
	if bytes.Equal(forged, offer) {
		t.Fatalf("no fingerprint %s in the offer", good)
	}
	answer, err := p[1].Session.Answer(ctx, forged)
	if err != nil {
		t.Fatal(err)
	}
	if got := p[1].Session.RemoteFingerprint(); got != bad {
		t.Errorf("read fingerprint %s, wanted %s", got, bad)
	}
	if err := p[0].Session.SetAnswer(answer); err != nil {
		t.Fatal(err)
	}
	for {
		ev, ok := <-p[1].Session.Events()
		if !ok {
			t.Fatal("events ended without PathClosed")
		}
		if mediatest.Is[media.PathUp](ev) {
			t.Fatal("the path came up with a forged fingerprint")
		}
		if closed, ok := ev.(media.PathClosed); ok {
			if !errors.Is(closed.Err, media.ErrFingerprint) {
				t.Fatalf("closed with %v", closed.Err)
			}
			return
		}
	}
}

func TestGarbageOnTheMediaPort(t *testing.T) {
	var codec mediatest.Codec
	p := mediatest.NewPair(t, [2]transport.Net{}, configs(&codec))
	stranger, err := net.Dial("udp", net.JoinHostPort("127.0.0.1", itoa(p[1].Engine.Port())))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	stun := append([]byte{0, 1, 0, 8, 0x21, 0x12, 0xA4, 0x42}, make([]byte, 20)...)
	garbage := [][]byte{
		{},
		{0},
		{22, 254},
		bytes.Repeat([]byte{128, 111}, 700), stun, bytes.Repeat([]byte{22}, 1400),
		[]byte("GET / HTTP/1.1\r\n\r\n"),
	}
	shout := func() {
		for _, g := range garbage {
			if _, err := stranger.Write(g); err != nil {
				t.Fatal(err)
			}
		}
	}
	shout()
	p.Connect(t)
	shout()
	p.AwaitUp(t)
	cards := [2]*mediatest.Card{{Mic: mediatest.Tone(440)}, {Mic: mediatest.Tone(440)}}
	for i, e := range p {
		if err := e.Session.Start(cards[i]); err != nil {
			t.Fatal(err)
		}
	}
	shout()
	await(t, "a tone in spite of garbage", func() bool { return power(tail(cards[1], time.Second/2), 440) > 0.9 })
	if s := p[1].Session.Stats(); s.Foreign != 0 || s.Lost != 0 {
		t.Errorf("garbage was counted as sound: %+v", s)
	}
}

func TestManySessionsBetweenTheSameTwoEngines(t *testing.T) {
	const calls = 8
	var codec mediatest.Codec
	first := mediatest.NewPair(t, [2]transport.Net{}, configs(&codec))
	pairs := []mediatest.Pair{first}
	for range calls - 1 {
		cfg := configs(&codec)
		cfg[0].Offerer, cfg[1].Echo = true, true
		pairs = append(pairs, mediatest.Pair{mediatest.NewEnd(t, first[0].Engine, cfg[0]), mediatest.NewEnd(t, first[1].Engine, cfg[1])})
	}
	var cards []*mediatest.Card
	for i, p := range pairs {
		p.Connect(t)
		p.AwaitUp(t)
		card := &mediatest.Card{Mic: mediatest.Tone(float64(300 + 100*i))}
		cards = append(cards, card)
		if err := p[0].Session.Start(card); err != nil {
			t.Fatal(err)
		}
		var far audio.Device
		if i == 0 {
			far = &mediatest.Card{Mic: mediatest.Tone(300)}
		}
		if err := p[1].Session.Start(far); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range cards {
		await(t, "everyone hears his own echo", func() bool { return power(tail(c, time.Second/2), float64(300+100*i)) > 0.9 })
	}
	await(t, "the encoders of many calls save processor time", func() bool { return codec.Thrifty() == calls })
	for _, p := range pairs[:calls/2] {
		_ = p[0].Session.Close()
	}
	await(t, "those of few do not", func() bool { return codec.Thrifty() == 0 })
}

func TestHoldMuteAndDigits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var codec mediatest.Codec
		link := mediatest.NewLink(t, 1, mediatest.Weather{Delay: 10 * time.Millisecond})
		p := mediatest.NewPair(t, link.Nets, configs(&codec))
		p.Connect(t)
		p.AwaitUp(t)
		cards := [2]*mediatest.Card{{Mic: mediatest.Tone(440)}, {Mic: mediatest.Tone(1000)}}
		for i, e := range p {
			if err := e.Session.Start(cards[i]); err != nil {
				t.Fatal(err)
			}
		}
		hears := func(i int, hz float64) bool { return power(tail(cards[i], time.Second/2), hz) > 0.9 }
		pass(2 * time.Second)
		p[0].Session.Mute(true)
		pass(2 * time.Second)
		for _, v := range tail(cards[1], time.Second) {
			if v != 0x80 { // what zero becomes in the test codec
				t.Fatalf("muted, but heard %d", v)
			}
		}
		p[0].Session.Mute(false)
		p[0].Session.Hold(true)
		pass(2 * time.Second)
		sent := p[0].Session.Stats().PacketsSent
		pass(time.Second)
		if now := p[0].Session.Stats().PacketsSent; now != sent {
			t.Errorf("%d packets sent on hold", now-sent)
		}
		for _, v := range tail(cards[0], time.Second) {
			if v != 0 {
				t.Fatal("played on hold")
			}
		}
		p[0].Session.Hold(false)
		pass(2 * time.Second)
		if !hears(0, 1000) || !hears(1, 440) {
			t.Error("no sound after hold")
		}
		if err := p[0].Session.DTMF("1x"); !errors.Is(err, media.ErrBadDigit) {
			t.Errorf("DTMF(1x): %v", err)
		}
		if err := p[0].Session.DTMF("159#*0Da"); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		var got strings.Builder
		for _, ev := range p[1].Seen() {
			if d, ok := ev.(media.DTMF); ok {
				got.WriteRune(d.Digit)
			}
		}
		if got.String() != "159#*0DA" {
			t.Errorf("digits %q", got.String())
		}
		if s := p[1].Session.Stats(); s.Lost != 0 {
			t.Errorf("digits count as lost: %d", s.Lost)
		}
		if !hears(1, 440) {
			t.Error("no sound after digits")
		}
	})
}

func TestCloseLeavesNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	func() {
		var codec mediatest.Codec
		p := mediatest.NewPair(t, [2]transport.Net{}, configs(&codec))
		p.Connect(t)
		p.AwaitUp(t)
		for _, e := range p {
			if err := e.Session.Start(&mediatest.Card{}); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range p {
			if err := e.Engine.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}()
	await(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

func TestRefusedDescriptionsAndCandidates(t *testing.T) {
	var codec mediatest.Codec
	p := mediatest.NewPair(t, [2]transport.Net{}, configs(&codec))
	ctx := context.Background()
	source := mediatest.NewPair(t, [2]transport.Net{}, configs(&codec))
	offer, err := source[0].Session.Offer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	good := string(offer)
	for name, bad := range map[string]string{
		"empty":           "",
		"garbage":         "hello",
		"too large":       good + strings.Repeat("a=x\r\n", 20000),
		"no fingerprint":  strings.ReplaceAll(good, "a=fingerprint", "a=nothing"),
		"sha-1":           strings.ReplaceAll(good, "sha-256", "sha-1"),
		"video":           strings.ReplaceAll(good, "m=audio", "m=video"),
		"two sections":    good + good[strings.Index(good, "m=audio"):],
		"no Opus":         strings.ReplaceAll(good, "opus", "pcmu"),
		"no credentials":  strings.ReplaceAll(good, "a=ice-pwd", "a=nothing"),
		"named candidate": good + "a=candidate:1 1 udp 1 example.org 9 typ host\r\n",
		"two fingerprints": good + "a=fingerprint:sha-256 " +
			strings.TrimSuffix(strings.Repeat("AA:", 32), ":") + "\r\n",
	} {
		if _, err := p[1].Session.Answer(ctx, []byte(bad)); !errors.Is(err, media.ErrBadSDP) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, bad := range map[string]string{
		"empty":   "",
		"no JSON": "candidate",
		"name":    `{"candidate":"candidate:1 1 udp 1 example.org 9 typ host"}`,
		"mDNS":    `{"candidate":"candidate:1 1 udp 1 1234.local 9 typ host"}`,
		"large":   `{"candidate":"` + strings.Repeat("x", 5000) + `"}`,
	} {
		if err := p[1].Session.AddCandidate([]byte(bad)); !errors.Is(err, media.ErrBadCandidate) {
			t.Errorf("candidate %s: %v", name, err)
		}
	}
	if err := p[0].Session.SetAnswer(nil); !errors.Is(err, media.ErrBadSDP) {
		t.Errorf("empty answer: %v", err)
	}
	if _, err := p[0].Session.Answer(ctx, offer); !errors.Is(err, media.ErrState) {
		t.Errorf("answering an own session: %v", err)
	}
	p.Connect(t) // and none of this did harm
	p.AwaitUp(t)
	many := 0
	for i := range 100 {
		line, _ := json.Marshal(map[string]string{"candidate": "candidate:1 1 udp 1 192.0.2.1 " + itoa(1000+i) + " typ host"})
		if p[1].Session.AddCandidate(line) == nil {
			many++
		}
	}
	if many > 64 {
		t.Errorf("%d candidates of one peer were taken", many)
	}
}

// brokenDevice cannot be opened.
type brokenDevice struct{}

func (brokenDevice) Name() string                            { return "broken" }
func (brokenDevice) Open(audio.Player) (audio.Stream, error) { return nil, audio.ErrNoDevice }

func TestStartAgainAfterABrokenDevice(t *testing.T) {
	var codec mediatest.Codec
	p := mediatest.NewPair(t, [2]transport.Net{}, configs(&codec))
	p.Connect(t)
	if err := p[0].Session.Start(brokenDevice{}); !errors.Is(err, audio.ErrNoDevice) {
		t.Fatal(err)
	}
	if n := codec.Open(); n != 0 {
		t.Errorf("%d codecs left open", n)
	}
	card := &mediatest.Card{}
	if err := p[0].Session.Start(card); err != nil {
		t.Fatal(err)
	}
	if err := p[1].Session.Start(&mediatest.Card{Mic: mediatest.Tone(440)}); err != nil {
		t.Fatal(err)
	}
	await(t, "a tone on the second device", func() bool { return power(tail(card, time.Second/2), 440) > 0.9 })
}
