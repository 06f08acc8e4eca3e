package media_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerd/peerd/media/mediatest"
)

// TestPathIsUpAfterSilence lets nothing through at first, as where the other end's
// machine has no time for it: the path is up soon after that ends, however long it was.
func TestPathIsUpAfterSilence(t *testing.T) {
	for _, silence := range []time.Duration{time.Second, 3 * time.Second, 12 * time.Second} {
		t.Run(silence.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var codec mediatest.Codec
				link := mediatest.NewLink(t, 1, mediatest.Weather{Down: true})
				p := mediatest.NewPair(t, link.Nets, configs(&codec))
				p.ConnectAfter(t, time.Millisecond)
				<-time.After(silence)
				link.Set(mediatest.Weather{Delay: 10 * time.Millisecond})
				ended := time.Now()
				p.AwaitUp(t)
				if took := time.Since(ended); took > time.Second {
					t.Errorf("path up %v after the silence", took)
				}
				for _, e := range p {
					_ = e.Session.Close()
				}
			})
		})
	}
}
