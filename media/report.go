package media

import (
	"math"
	"time"

	"github.com/pion/rtcp"
)

// reportEvery is the period of RTCP reports: 160 bytes/s beside 10 kB/s.
const reportEvery = time.Second

// report sends a sender report with what we have received (RFC 3550 section
// 6.4.1). None leaves before Start.
func (s *Session) report() {
	b := s.buffer.Load()
	if b == nil {
		return
	}
	received, ok := b.Report()
	if !ok {
		return
	}
	ssrc, packets, bytes, timestamp := s.track.sent()
	sr := &rtcp.SenderReport{
		SSRC: ssrc, NTPTime: ntp(time.Now()), RTPTime: timestamp,
		PacketCount: uint32(packets), OctetCount: uint32(bytes),
		Reports: []rtcp.ReceptionReport{{
			SSRC: s.remoteSSRC.Load(), FractionLost: received.FractionLost, TotalLost: received.TotalLost,
			LastSequenceNumber: received.HighestSequence, Jitter: received.Jitter,
		}},
	}
	if err := s.pc.WriteRTCP([]rtcp.Packet{sr}); err != nil {
		s.log.Debug("sending a report", "err", err)
	}
}

// readReports follows the other end's reports until the session closes.
func (s *Session) readReports() {
	for {
		packets, _, err := s.sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			s.readReport(p)
		}
	}
}

func (s *Session) readReport(p rtcp.Packet) {
	var reports []rtcp.ReceptionReport
	switch p := p.(type) {
	case *rtcp.SenderReport:
		reports = p.Reports
	case *rtcp.ReceiverReport:
		reports = p.Reports
	}
	own, _, _, _ := s.track.sent()
	for _, r := range reports {
		if r.SSRC == own {
			s.lossSeen(float64(r.FractionLost) / 256)
		}
	}
}

// lossSeen averages the reported loss over some four reports and arms the
// encoder for it.
func (s *Session) lossSeen(loss float64) {
	mean := math.Float64frombits(s.remoteLoss.Load())
	mean += (loss - mean) / 4
	s.remoteLoss.Store(math.Float64bits(mean))
	s.expect.Store(int32(math.Round(100 * mean)))
}

// ntp is t as RFC 3550 section 4 wants it: seconds since 1900, 32.32 bits.
func ntp(t time.Time) uint64 {
	const since1900 = 2208988800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}
