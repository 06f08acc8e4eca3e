package media

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
)

// describe sets our description, waits a moment for the candidates of this
// machine and returns it with them.
func (s *Session) describe(ctx context.Context, sd webrtc.SessionDescription) ([]byte, error) {
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(sd); err != nil {
		return nil, fmt.Errorf("setting our description: %w", s.closedOr(err))
	}
	wait := time.NewTimer(gatherWait)
	defer wait.Stop()
	select {
	case <-gathered:
	case <-wait.C:
	case <-s.ctx.Done():
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	s.described = true
	s.mu.Unlock()
	out := []byte(withCandidates(s.pc.LocalDescription().SDP, s.otherHosts()))
	own, err := readSDP(out)
	if err != nil {
		return nil, fmt.Errorf("our own description: %w", err)
	}
	s.mu.Lock()
	s.localFP = own.fingerprint
	s.mu.Unlock()
	s.askSTUN()
	return out, nil
}

// withCandidates adds candidate lines at the end of a description of one media
// section, before the word that there will be no more.
func withCandidates(sdp string, lines []string) string {
	var all strings.Builder
	for _, line := range lines {
		all.WriteString("a=" + line + "\r\n")
	}
	head, tail, complete := strings.Cut(sdp, "a=end-of-candidates\r\n")
	if complete {
		return head + all.String() + "a=end-of-candidates\r\n" + tail
	}
	return sdp + all.String()
}

// setRemote checks the other end's description, gives it to pion, and then the
// candidates that came before it.
func (s *Session) setRemote(kind webrtc.SDPType, b []byte) error {
	d, err := readSDP(b)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.remoteFP = d.fingerprint
	s.accepted += d.candidates
	s.mu.Unlock()
	err = s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: string(b)})
	if err != nil {
		if closed := s.closedOr(err); closed == ErrClosed { //nolint:errorlint // returned as it is
			return closed
		}
		return fmt.Errorf("%w: %w", ErrBadSDP, err)
	}
	s.mu.Lock()
	s.remote = true
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, line := range waiting {
		if err := s.giveCandidate(line); err != nil {
			s.log.Debug("an early candidate", "err", err)
		}
	}
	if d.direct != nil {
		s.spawn(func() { s.nudge(d.direct) })
	}
	return nil
}

// checkCertificate compares the certificate that the other end used with the
// fingerprint in its description.
func (s *Session) checkCertificate() error {
	cert := s.sender.Transport().GetRemoteCertificate()
	if len(cert) == 0 {
		return nil
	}
	sum := sha256.Sum256(cert)
	if formatFingerprint(sum[:]) != s.RemoteFingerprint() {
		return ErrFingerprint
	}
	return nil
}
