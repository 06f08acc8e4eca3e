package overlay

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestWhatIsGivenAheadIsGivenOnceAndAsItIsNow(t *testing.T) {
	const to = peer.ID("holder")
	k := &keeping{records: map[string]*kept{"a": {value: []byte("old")}}}
	if _, g := k.giveAhead("b", to); g != nil {
		t.Error("a record that there is not is given")
	}
	r, g := k.giveAhead("a", to)
	if g == nil || string(r.Value) != "old" {
		t.Fatalf("%q is given", r.Value)
	}
	if _, again := k.giveAhead("a", to); again != nil {
		t.Error("it is given twice at a time")
	}
	if _, other := k.giveAhead("a", peer.ID("another")); other == nil {
		t.Error("another holder does not get it")
	}
	if k.given(r, to) != g || k.given(r, to) != nil {
		t.Error("who was given a record is to be waited for once")
	}
	if _, g = k.giveAhead("a", to); g == nil || k.given(Record{Key: "a", Value: []byte("new")}, to) != nil {
		t.Error("an old record counts for the new one")
	}
}
