package playout

import "time"

// Stats counts what went through a Buffer.
type Stats struct {
	Expected  uint64 // sequence numbers from the first to the highest
	Lost      uint64 // of these, never received
	Late      uint64 // packets that came after their turn, or were skipped to catch up
	Duplicate uint64
	Reordered uint64
	Damaged   uint64 // packets the decoder refused

	Played      uint64 // samples handed out since the first packet
	Concealed   uint64 // of these, made up
	Recovered   uint64 // frames restored from what later packets carry
	Accelerated uint64 // samples taken out
	Decelerated uint64 // samples put in
	Jitter      time.Duration
	Delay       time.Duration // from arrival on the fastest path to Pull
	Target      time.Duration
	Waiting     int // packets
}

// Report is the reception report block of RTCP (RFC 3550 section 6.4.1).
type Report struct {
	FractionLost    uint8 // since the last Report, in 1/256
	TotalLost       uint32
	HighestSequence uint32
	Jitter          uint32 // in samples

	// Arrived tells of each packet from First on whether it has come. The newest
	// are left for the next Report: they may only be overtaken.
	First   uint16
	Arrived []bool
}

const seenWindow = 1024 // sequence numbers whose arrival is remembered

// sequence follows RTP sequence numbers (RFC 3550 appendix A.1, A.3).
type sequence struct {
	begun        bool
	first        int64
	highest      int64
	received     uint64
	seen         [seenWindow]int64 // extended sequence number + 1
	lastExpected uint64
	lastReceived uint64
	told         int64 // sequence number up to which Arrived was reported
}

// overtaken is by how many packets a packet may be overtaken without being told
// as lost.
const overtaken = 5

// add takes a sequence number.
func (q *sequence) add(seq uint16) (duplicate, reordered bool) {
	if !q.begun {
		q.begun, q.first, q.highest = true, int64(seq)+1<<16, int64(seq)+1<<16
	}
	ext := q.highest + int64(int16(seq-uint16(q.highest)))
	if q.highest-ext >= seenWindow || ext < q.first {
		return false, true
	}
	cell := &q.seen[ext%seenWindow]
	if *cell == ext+1 {
		return true, false
	}
	*cell = ext + 1
	q.received++
	reordered = ext < q.highest
	q.highest = max(q.highest, ext)
	return false, reordered
}

func (q *sequence) expected() uint64 {
	if !q.begun {
		return 0
	}
	return uint64(q.highest - q.first + 1)
}

func (q *sequence) lost() uint64 {
	if e := q.expected(); e > q.received {
		return e - q.received
	}
	return 0
}

func (q *sequence) report() Report {
	expected, received := q.expected()-q.lastExpected, q.received-q.lastReceived
	q.lastExpected, q.lastReceived = q.expected(), q.received
	r := Report{TotalLost: uint32(min(q.lost(), 1<<23-1)), HighestSequence: uint32(q.highest - 1<<16)}
	if expected > received {
		r.FractionLost = uint8(min(255, (expected-received)*256/expected))
	}
	q.told = max(q.told, q.highest-seenWindow/2, q.first-1)
	r.First = uint16(q.told + 1)
	for ; q.told < q.highest-overtaken; q.told++ {
		at := q.told + 1
		r.Arrived = append(r.Arrived, q.seen[at%seenWindow] == at+1)
	}
	return r
}
