package storm

import (
	"testing"
	"time"
)

func TestPromotionIsInProportionToRefusals(t *testing.T) {
	t.Parallel()
	rnd := dice(1)
	for _, share := range []float64{0, 0.25, 1} {
		promoted := 0
		const nodes = 4000
		for range nodes {
			var r Role
			for i := range 8 {
				r.Saw(time.Second, float64(i) < 8*share)
			}
			if r.Promote(time.Second, rnd.Float64(), 0) {
				promoted++
			}
		}
		if got := float64(promoted) / nodes; got < share-0.05 || got > share+0.05 {
			t.Errorf("%.2f promoted themselves at a share of refusals of %.2f", got, share)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	o, err := Without("slots", "referrals")
	if err != nil || o.Has(Slots) || o.Has(Referrals) || !o.Has(Backoff) {
		t.Errorf("options %b, %v", o, err)
	}
	if _, err = Without("no such thing"); err == nil {
		t.Error("an unknown mechanism was accepted")
	}
	if len(Mechanisms()) != int(mechanisms) {
		t.Error("a mechanism has no name")
	}
}
