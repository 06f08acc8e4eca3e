package media

import (
	"math"
	"time"

	"github.com/pion/rtcp"

	"github.com/peerd/peerd/media/playout"
)

// Periods of RTCP reports: one each second, 200 bytes/s beside 10 kB/s. Where
// loss begins, the other end is told at once.
const (
	reportEvery = time.Second
	reportSoon  = 250 * time.Millisecond
)

// maxRuns is how many packets a report of lost ones is read for.
const maxRuns = 1024

// reports is what our own reports need to know. It is used by run alone, but
// for heard.
type reports struct {
	last time.Time // when one was sent
	lost uint64    // in all, by then
	loss bool      // it told of loss
}

// report sends a sender report with what we have received (RFC 3550 section
// 6.4.1), and which packets were lost (RFC 3611 section 4.1). None leaves before
// Start. It is called each reportSoon.
func (s *Session) report(r *reports, now time.Time) {
	b := s.buffer.Load()
	if b == nil {
		return
	}
	if began := !r.loss && b.Lost() > r.lost; now.Sub(r.last) < reportEvery && !began {
		return
	}
	received, ok := b.Report()
	if !ok {
		return
	}
	*r = reports{last: now, lost: b.Lost(), loss: received.FractionLost > 0}
	ssrc, packets, bytes, timestamp := s.track.sent()
	block := rtcp.ReceptionReport{
		SSRC: s.remoteSSRC.Load(), FractionLost: received.FractionLost, TotalLost: received.TotalLost,
		LastSequenceNumber: received.HighestSequence, Jitter: received.Jitter,
	}
	block.LastSenderReport, block.Delay = s.lastReport(now)
	out := []rtcp.Packet{&rtcp.SenderReport{
		SSRC: ssrc, NTPTime: ntp(now), RTPTime: timestamp,
		PacketCount: uint32(packets), OctetCount: uint32(bytes),
		Reports: []rtcp.ReceptionReport{block},
	}}
	if len(received.Arrived) > 0 {
		out = append(out, &rtcp.ExtendedReport{SenderSSRC: ssrc, Reports: []rtcp.ReportBlock{lossRuns(block.SSRC, received)}})
	}
	if err := s.pc.WriteRTCP(out); err != nil {
		s.log.Debug("sending a report", "err", err)
	}
}

// lossRuns is a Loss RLE block, all bit vectors.
func lossRuns(ssrc uint32, r playout.Report) *rtcp.LossRLEReportBlock {
	const vector = 15
	b := &rtcp.LossRLEReportBlock{SSRC: ssrc, BeginSeq: r.First, EndSeq: r.First + uint16(len(r.Arrived))}
	for at := 0; at < len(r.Arrived); at += vector {
		chunk := uint16(1 << vector)
		for i := range vector {
			if at+i < len(r.Arrived) && r.Arrived[at+i] {
				chunk |= 1 << (vector - 1 - i)
			}
		}
		b.Chunks = append(b.Chunks, rtcp.Chunk(chunk))
	}
	if len(b.Chunks)%2 == 1 {
		b.Chunks = append(b.Chunks, 0) // to a multiple of 32 bits
	}
	return b
}

// countRuns reads a Loss RLE block: how many packets it tells of, how many of
// them are lost, and in how many rows.
func countRuns(b *rtcp.LossRLEReportBlock) (packets, lost, rows int) {
	packets = min(int(b.EndSeq-b.BeginSeq), maxRuns)
	at, before := 0, true
	take := func(arrived bool) {
		if at < packets && !arrived {
			lost++
			if before {
				rows++
			}
		}
		at, before = at+1, arrived
	}
	for _, c := range b.Chunks {
		switch {
		case at >= packets:
			return packets, lost, rows
		case c&0x8000 != 0: // bit vector
			for i := 14; i >= 0; i-- {
				take(c>>i&1 == 1)
			}
		default: // run length
			for range min(int(c&0x3fff), packets) {
				take(c&0x4000 != 0)
			}
		}
	}
	return min(at, packets), lost, rows
}

// senderReport is the other end's last one, for it to measure the round trip.
type senderReport struct {
	middle uint32 // of its NTP time
	at     time.Time
}

// lastReport is what the last sender report was and how long ago, in 1/65536 s.
func (s *Session) lastReport(now time.Time) (middle, ago uint32) {
	r := s.theirReport.Load()
	if r == nil {
		return 0, 0
	}
	return r.middle, uint32(now.Sub(r.at) * 65536 / time.Second)
}

// readReports follows the other end's reports until the session closes.
func (s *Session) readReports() {
	for {
		packets, _, err := s.sender.ReadRTCP()
		if err != nil {
			return
		}
		s.readPackets(packets, time.Now())
	}
}

// readPackets reads one compound packet and makes the plan anew.
func (s *Session) readPackets(packets []rtcp.Packet, now time.Time) {
	own, _, _, _ := s.track.sent()
	_, red, _ := s.track.types()
	r := &s.repair
	r.mu.Lock()
	defer r.mu.Unlock()
	told := false
	for _, p := range packets {
		if x, ok := p.(*rtcp.ExtendedReport); ok {
			told = r.readExtended(x, own) || told
		}
	}
	r.haveRuns = r.haveRuns || told
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			s.theirReport.Store(&senderReport{uint32(p.NTPTime >> 16), now})
			told = r.read(p.Reports, own, now) || told
		case *rtcp.ReceiverReport:
			told = r.read(p.Reports, own, now) || told
		}
	}
	if told {
		next := r.next(now, red != 0)
		s.plan.Store(&next)
		s.remoteLoss.Store(math.Float64bits(r.meter.share()))
	}
}

// read takes the reports about the stream own.
func (r *repair) read(blocks []rtcp.ReceptionReport, own uint32, now time.Time) (told bool) {
	for _, b := range blocks {
		if b.SSRC != own {
			continue
		}
		told = true
		if !r.haveRuns {
			const each = float64(reportEvery / (20 * time.Millisecond))
			lost := each * float64(b.FractionLost) / 256
			r.meter.add(each, lost, lost)
		}
		if b.LastSenderReport == 0 {
			continue
		}
		const clock = 48000
		passed := time.Duration(int32(uint32(ntp(now)>>16)-b.LastSenderReport-b.Delay)) * time.Second / 65536
		r.link.roundTrip(now, max(0, passed), time.Duration(b.Jitter)*time.Second/clock, float64(b.FractionLost)/256)
	}
	return told
}

func (r *repair) readExtended(x *rtcp.ExtendedReport, own uint32) (told bool) {
	for _, block := range x.Reports {
		b, ok := block.(*rtcp.LossRLEReportBlock)
		if !ok || b.SSRC != own {
			continue
		}
		packets, lost, rows := countRuns(b)
		r.meter.add(float64(packets), float64(lost), float64(rows))
		told = true
	}
	return told
}

// ntp is t as RFC 3550 section 4 wants it: seconds since 1900, 32.32 bits.
func ntp(t time.Time) uint64 {
	const since1900 = 2208988800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}
