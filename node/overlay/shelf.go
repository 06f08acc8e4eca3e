package overlay

import (
	"bytes"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	record "github.com/libp2p/go-libp2p-record"

	"github.com/peerd/peerd/node/overlay/gate"
	"github.com/peerd/peerd/node/storm"
)

// A record goes to its holders with the question who they are, in one datagram: a
// connection would cost both ends ten times as much. What was let in is checked and
// stored here, one record after the other, beside the goroutine that reads the socket.
// Whoever looks for a record asks for it likewise.

const (
	// shelfQueue records wait to be stored or read; what comes on top is not answered, and
	// comes again. The gate lets no more in than can be done, on average.
	shelfQueue = 64
	// shelfMemory records stored last are known: who did not hear the answer asks again.
	shelfMemory = 512
	// giftCeiling is how many times the guess a record may take, for the gate.
	giftCeiling = 8
)

// shelf stores what others give us, and reads it for others.
type shelf struct {
	o     *Overlay
	puts  chan func()
	gets  chan func()
	count atomic.Uint64 // records checked

	seed maphash.Seed
	mu   sync.Mutex
	last map[uint64]bool // the records that came last: whether they are stored
	ring [shelfMemory]uint64
	next int
}

func newShelf(o *Overlay) *shelf {
	return &shelf{o: o, puts: make(chan func(), shelfQueue), gets: make(chan func(), shelfQueue), seed: maphash.MakeSeed(), last: make(map[uint64]bool)}
}

func (s *shelf) sum(r *gate.Record) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_ = h.WriteByte(byte(len(r.Name)))
	_, _ = h.WriteString(r.Name)
	_, _ = h.Write(r.Value)
	return h.Sum64()
}

// knows says that the very record has come before, and whether it is stored by now.
func (s *shelf) knows(r *gate.Record) (came, stored bool) {
	sum := s.sum(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, came = s.last[sum]
	return came, stored
}

// put has a record be stored soon. It copies it; reply gets the answer, which is "come" if
// it is stored, from another goroutine, unless there is no room.
func (s *shelf) put(r *gate.Record, answer gate.Answer, reply func(gate.Answer)) {
	sum, name, value := s.sum(r), r.Name, bytes.Clone(r.Value)
	s.note(sum, false)
	ok := soon(s.puts, func() {
		begun := time.Now()
		err := s.o.local.Put(s.o.ctx, name, record.MakePutRecord(name, value))
		s.count.Add(1)
		most := giftCeiling * s.o.door.cfg.Cost[storm.Presence]
		s.o.door.finished(storm.Presence, min(time.Since(begun), most), 1)
		if err != nil {
			s.o.log.Debug("record refused", "key", name, "err", err)
			s.forget(sum)
		} else {
			s.note(sum, true)
		}
		answer.Come = err == nil
		reply(answer)
	})
	if !ok {
		s.forget(sum)
	}
}

// get has reply get the value that is kept under a name, empty for none, as put has. It
// was checked when it came, and is by who reads it. It says whether there is room for that.
func (s *shelf) get(name string, reply func(value []byte)) bool {
	return soon(s.gets, func() {
		rec, err := s.o.local.Get(s.o.ctx, name)
		if err != nil {
			s.o.log.Warn("a record cannot be read", "key", name, "err", err)
		}
		reply(rec.GetValue())
	})
}

// soon has work be done, and says whether there is room for it.
func soon(queue chan<- func(), work func()) bool {
	select {
	case queue <- work:
		return true
	default:
		return false
	}
}

func (s *shelf) note(sum uint64, stored bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.last[sum]; !known {
		delete(s.last, s.ring[s.next])
		s.ring[s.next] = sum
		s.next = (s.next + 1) % shelfMemory
	}
	s.last[sum] = stored
}

// forget has a record that was not stored be taken for a new one when it comes again.
func (s *shelf) forget(sum uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.last, sum)
}

// loop does what is asked for, one piece of work after the other.
func (s *shelf) loop(queue <-chan func()) {
	for {
		select {
		case work := <-queue:
			work()
		case <-s.o.ctx.Done():
			return
		}
	}
}
