package media_test

import (
	"testing"
	"time"

	"github.com/pion/transport/v5"

	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/media/mediatest"
)

// TestCloseWhileTheFirstSoundArrives: a call that ends at the moment its path is up,
// while the other end talks already, ends.
func TestCloseWhileTheFirstSoundArrives(t *testing.T) {
	for i := range 40 {
		var codec mediatest.Codec
		p := mediatest.NewPair(t, [2]transport.Net{}, configs(&codec))
		if err := p[0].Session.Start(&mediatest.Card{Mic: mediatest.Tone(440)}); err != nil {
			t.Fatal(err)
		}
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			p[1].Await(t, "PathUp", mediatest.Is[media.PathUp])
			_ = p[1].Session.Close()
		}()
		p.Connect(t)
		select {
		case <-closed:
		case <-time.After(20 * time.Second):
			t.Fatalf("call %d does not end", i)
		}
		_ = p[0].Session.Close()
	}
}
