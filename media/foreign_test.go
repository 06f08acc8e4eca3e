package media_test

import (
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/transport/v5"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/media/mediatest"
)

// TestUnregisteredPayloadTypeThroughPion: pion reports a packet whose payload
// type nobody agreed on as an error of the stream; it is the packet's alone.
func TestUnregisteredPayloadTypeThroughPion(t *testing.T) {
	var codec mediatest.Codec
	p := mediatest.NewPair(t, [2]transport.Net{}, configs(&codec))
	p.Connect(t)
	p.AwaitUp(t)
	cards := [2]*mediatest.Card{{Mic: mediatest.Tone(440)}, {Mic: mediatest.Tone(1000)}}
	for i, e := range p {
		if err := e.Session.Start(cards[i]); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "sound before", func() bool { return p[1].Session.Stats().PacketsReceived > 5 })
	const injected = 20
	for i := range injected {
		if err := p[0].Session.Inject(uint8(77+i), []byte("what is this")); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "all of them counted", func() bool { return p[1].Session.Stats().Foreign >= injected })
	before := p[1].Session.Stats()
	await(t, "the call goes on", func() bool {
		return p[1].Session.Stats().PacketsReceived > before.PacketsReceived+25 &&
			power(tail(cards[1], audio.FrameDuration*10), 440) > 0.9
	})
	if s := p[1].Session.Stats(); s.Foreign != injected {
		t.Errorf("%d foreign packets, want %d", s.Foreign, injected)
	}
}

// sink takes packets and does nothing.
type sink struct{ packets int }

func (s *sink) WriteRTP(*rtp.Header, []byte) (int, error) { s.packets++; return 0, nil }
func (s *sink) Write([]byte) (int, error)                 { return 0, nil }

// silentSender is a session's way out without a network under it.
func silentSender(tb testing.TB) (send func([]int16), out *sink) {
	tb.Helper()
	engine, err := media.NewEngine(media.EngineConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = engine.Close() })
	var codec mediatest.Codec
	s := mediatest.NewEnd(tb, engine, media.SessionConfig{Offerer: true, Echo: true}).Session
	out = &sink{}
	s.SendTo(out)
	encoder, err := codec.Encoder()
	if err != nil {
		tb.Fatal(err)
	}
	return s.FrameSender(encoder), out
}

// BenchmarkSendPath is what one 20 ms frame costs between microphone and network
// beside the codec. Our own part must not allocate.
func BenchmarkSendPath(b *testing.B) {
	send, out := silentSender(b)
	pcm := make([]int16, audio.FrameSamples)
	b.ReportAllocs()
	for b.Loop() {
		send(pcm)
	}
	if out.packets == 0 {
		b.Fatal("nothing was sent")
	}
}

// TestSendPathDoesNotAllocate holds the benchmark's figure in every test run.
func TestSendPathDoesNotAllocate(t *testing.T) {
	send, out := silentSender(t)
	pcm := make([]int16, audio.FrameSamples)
	if n := testing.AllocsPerRun(100, func() { send(pcm) }); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
	if out.packets < 100 {
		t.Errorf("%d packets for 101 frames", out.packets)
	}
}
