package media_test

import (
	"sync"
	"testing"

	"github.com/pion/transport/v5"

	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/media/mediatest"
)

// TestPathIsUpWhenPionHasOvertakenItself: ICE and DTLS are up, and that counts.
func TestPathIsUpWhenPionHasOvertakenItself(t *testing.T) {
	var codec mediatest.Codec
	p := mediatest.NewPair(t, [2]transport.Net{}, configs(&codec))
	for _, e := range p {
		e.Session.Mislead()
	}
	p.Connect(t)
	p.AwaitUp(t)
}

// TestPathAndStatsAtAnyTime asks for figures from the first moment on, as a
// watcher does; the race detector is the judge. Before PathUp there is no path.
func TestPathAndStatsAtAnyTime(t *testing.T) {
	var codec mediatest.Codec
	p := mediatest.NewPair(t, [2]transport.Net{}, configs(&codec))
	var wg sync.WaitGroup
	defer wg.Wait()
	done := make(chan struct{})
	defer close(done)
	for _, e := range p {
		if path := e.Session.Path(); path != (media.Path{}) {
			t.Errorf("a path before anything was said: %+v", path)
		}
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_, _ = e.Session.Path(), e.Session.Stats()
				}
			}
		})
	}
	p.Connect(t)
	p.AwaitUp(t)
	for _, e := range p {
		if kind := e.Session.Path().Kind(); kind != "direct" {
			t.Errorf("with PathUp the path is %q", kind)
		}
		_ = e.Session.Close()
	}
}
