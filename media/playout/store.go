package playout

import (
	"slices"
	"time"

	"github.com/peerd/peerd/audio"
)

// capacity is the number of packets held, 1.28 s of 20 ms ones.
const capacity = 64

// slot is a packet waiting for its turn.
type slot struct {
	at   int64 // unwrapped timestamp
	size int
	copy bool // came with a later packet
	data [audio.MaxPacket]byte
}

// store keeps packets in the order of their timestamps. All memory is
// allocated once.
type store struct {
	waiting []*slot // ascending
	free    []*slot
}

func newStore() store {
	s := store{waiting: make([]*slot, 0, capacity), free: make([]*slot, capacity)}
	slots := make([]slot, capacity)
	for i := range slots {
		s.free[i] = &slots[i]
	}
	return s
}

// put copies a packet in. The oldest is given up when there is no room, which
// it reports.
func (s *store) put(at int64, payload []byte, isCopy bool) (overflow bool) {
	i := len(s.waiting)
	for i > 0 && s.waiting[i-1].at >= at {
		i--
	}
	if i < len(s.waiting) && s.waiting[i].at == at {
		return false
	}
	if len(s.free) == 0 {
		if i == 0 {
			return true
		}
		s.release(s.take())
		i, overflow = i-1, true
	}
	sl := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	sl.at, sl.size, sl.copy = at, copy(sl.data[:], payload), isCopy
	s.waiting = slices.Insert(s.waiting, i, sl)
	return overflow
}

// take removes the first packet; the caller releases it.
func (s *store) take() *slot {
	sl := s.waiting[0]
	s.waiting = slices.Delete(s.waiting, 0, 1)
	return sl
}

func (s *store) release(sl *slot) { s.free = append(s.free, sl) }

func (s *store) clear() {
	s.free = append(s.free, s.waiting...)
	s.waiting = s.waiting[:0]
}

// media is a span of samples as time.
func media(samples int64) time.Duration {
	return time.Duration(samples) * time.Second / audio.SampleRate
}
