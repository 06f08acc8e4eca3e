package media

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// exampleOffer is a real description, candidates included.
func exampleOffer(t testing.TB) []byte {
	t.Helper()
	e, err := NewEngine(EngineConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, err := e.NewSession(SessionConfig{Offerer: true})
	if err != nil {
		t.Fatal(err)
	}
	offer, err := s.Offer(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return offer
}

func addOffers(f *testing.F) {
	offer := exampleOffer(f)
	f.Add(offer)
	f.Add([]byte(strings.ReplaceAll(string(offer), "sendrecv", "inactive")))
	f.Add([]byte(strings.ReplaceAll(string(offer), "actpass", "active")))
	f.Add([]byte("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"))
}

func FuzzReadSDP(f *testing.F) {
	addOffers(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := readSDP(b)
		if err != nil && !errors.Is(err, ErrBadSDP) {
			t.Fatalf("unnamed error %v", err)
		}
		if err == nil && len(d.fingerprint) != 95 {
			t.Fatalf("fingerprint %q", d.fingerprint)
		}
	})
}

// FuzzAnswer: what passes our own check must go through pion as well, or be
// refused by it. Goroutines make its coverage differ from run to run, so give
// the fuzzer -fuzzminimizetime=1x.
func FuzzAnswer(f *testing.F) {
	addOffers(f)
	e, err := NewEngine(EngineConfig{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = e.Close() })
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := e.NewSession(SessionConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Answer(context.Background(), b); err == nil && s.RemoteFingerprint() == "" {
			t.Fatal("answered somebody without a fingerprint")
		}
	})
}

func FuzzCandidate(f *testing.F) {
	for _, s := range []string{
		`{"candidate":"candidate:2130706431 1 udp 2130706431 192.0.2.1 4000 typ host"}`,
		`{"candidate":"candidate:1 1 udp 1694498815 198.51.100.1 4000 typ srflx raddr 0.0.0.0 rport 4000"}`,
		`{"candidate":"candidate:1 1 tcp 1 2001:db8::1 9 typ host tcptype active","later":1}`,
		`{}`, `[`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		line, err := readCandidate(b)
		if err == nil && (line == "" || len(line) > maxCandidateLen) {
			t.Fatalf("took %q", line)
		}
	})
}
