package media_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerd/peerd/media/mediatest"
)

// TestPathIsUpSoonAfterTheAnswer is the call of a stranger: ICE begins only when
// it is accepted, and sound waits for it. Whatever order the checks of the two
// ends take, no end waits for pion's own next round of 200 ms.
func TestPathIsUpSoonAfterTheAnswer(t *testing.T) {
	var took []time.Duration
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			var codec mediatest.Codec
			link := mediatest.NewLink(t, seed, mediatest.Weather{Jitter: 3 * time.Millisecond})
			p := mediatest.NewPair(t, link.Nets, configs(&codec))
			begun := time.Now()
			p.ConnectAfter(t, 8*time.Millisecond)
			p.AwaitUp(t)
			took = append(took, time.Since(begun))
			for _, e := range p {
				_ = e.Session.Close()
			}
		})
	}
	slices.Sort(took)
	median, worst := took[len(took)/2], took[len(took)-1]
	t.Logf("median %v, worst %v of virtual time", median, worst)
	if median > 80*time.Millisecond || worst > 190*time.Millisecond {
		t.Errorf("path up after %v at the median, %v at worst", median, worst)
	}
}
