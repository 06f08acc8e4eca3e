package signaling_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/peerd/peerd/signaling"
)

// samples are one real message of each type.
func samples() []signaling.Message {
	return []signaling.Message{
		rawOffer(),
		{Type: signaling.TypeRinging},
		{Type: signaling.TypeRinging, Certificate: []byte("c"), Binding: []byte("b"), Nonce: nonce, SDP: []byte("s")},
		{Type: signaling.TypeReveal, Nonce: nonce},
		{Type: signaling.TypeAccept, SDP: []byte("s")},
		{Type: signaling.TypeCandidate, Candidate: []byte("candidate:1 1 udp 1 192.0.2.1 9 typ host")},
		{Type: signaling.TypeHold},
		{Type: signaling.TypeResume},
		{Type: signaling.TypeEnd, Reason: signaling.ReasonBusy, Text: "on the other line"},
	}
}

func TestMessagesComeThroughUnchanged(t *testing.T) {
	var wire bytes.Buffer
	for _, m := range samples() {
		must(t, signaling.WriteMessage(&wire, m))
	}
	for _, want := range samples() {
		want.V = signaling.Version
		got, err := signaling.ReadMessage(&wire)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v", want.Type, got, err)
		}
	}
}

func TestBoundsOfEachField(t *testing.T) {
	for name, spoil := range map[string]func(*signaling.Message){
		"certificate too long": func(m *signaling.Message) { m.Certificate = make([]byte, signaling.MaxCertificate+1) },
		"binding too long":     func(m *signaling.Message) { m.Binding = make([]byte, signaling.MaxBinding+1) },
		"proof too long":       func(m *signaling.Message) { m.Proof = make([]byte, signaling.MaxProof+1) },
		"sdp too long":         func(m *signaling.Message) { m.SDP = make([]byte, signaling.MaxSDP+1) },
		"candidate too long":   func(m *signaling.Message) { m.Candidate = make([]byte, signaling.MaxCandidate+1) },
		"text too long":        func(m *signaling.Message) { m.Text = strings.Repeat("x", signaling.MaxText+1) },
		"no certificate":       func(m *signaling.Message) { m.Certificate = nil },
		"no binding":           func(m *signaling.Message) { m.Binding = nil },
		"no sdp":               func(m *signaling.Message) { m.SDP = nil },
		"short commitment":     func(m *signaling.Message) { m.Commit = m.Commit[1:] },
		"no call id":           func(m *signaling.Message) { m.CallID = "" },
		"short call id":        func(m *signaling.Message) { m.CallID = m.CallID[2:] },
		"call id in capitals":  func(m *signaling.Message) { m.CallID = strings.ToUpper(m.CallID) },
		"no type":              func(m *signaling.Message) { m.Type = "" },
		"reveal of nothing":    func(m *signaling.Message) { m.Type = signaling.TypeReveal },
		"nonce without more":   func(m *signaling.Message) { *m = signaling.Message{Type: signaling.TypeAccept, Nonce: nonce} },
		"short nonce":          func(m *signaling.Message) { m.Type, m.Nonce = signaling.TypeRinging, nonce[1:] },
		"empty candidate":      func(m *signaling.Message) { m.Type = signaling.TypeCandidate },
		"end without a reason": func(m *signaling.Message) { m.Type = signaling.TypeEnd },
	} {
		m := rawOffer()
		spoil(&m)
		if err := signaling.WriteMessage(&bytes.Buffer{}, m); !errors.Is(err, signaling.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	largest := rawOffer()
	largest.Certificate = make([]byte, signaling.MaxCertificate)
	largest.Binding = make([]byte, signaling.MaxBinding)
	largest.Proof = make([]byte, signaling.MaxProof)
	largest.SDP = make([]byte, signaling.MaxSDP)
	var wire bytes.Buffer
	must(t, signaling.WriteMessage(&wire, largest))
	if _, err := signaling.ReadMessage(&wire); err != nil {
		t.Errorf("the largest offer: %v", err)
	}
}

func TestPrintingAMessageHidesItsBody(t *testing.T) {
	m := rawOffer()
	m.SDP, m.Candidate, m.Text = []byte("secret"), []byte("secret"), "secret"
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("message", slog.Any("message", m))
	for _, text := range []string{logged.String(), m.String(), fmt.Sprintf("%+v %#v %s", m, m, m)} {
		if strings.Contains(text, "secret") || strings.Contains(text, "115 101 99 114") || !strings.Contains(text, m.CallID) {
			t.Errorf("printed as %s", text)
		}
	}
}

func TestSASDependsOnEveryPart(t *testing.T) {
	caller := signaling.Party{Certificate: []byte("ca"), Binding: []byte("ba"), Nonce: []byte("na")}
	callee := signaling.Party{Certificate: []byte("cb"), Binding: []byte("bb"), Nonce: []byte("nb")}
	base := signaling.Authenticate("id", caller, callee)
	seen := map[signaling.SAS]string{base: "base"}
	check := func(name string, sas signaling.SAS) {
		if same, ok := seen[sas]; ok {
			t.Errorf("%s gives the string of %s", name, same)
		}
		seen[sas] = name
		for _, index := range sas {
			if index >= 2048 {
				t.Errorf("%s: index %d", name, index)
			}
		}
	}
	check("other id", signaling.Authenticate("ie", caller, callee))
	check("swapped", signaling.Authenticate("id", callee, caller))
	for i := range 3 {
		a, b := caller, callee
		*[]*[]byte{&a.Certificate, &a.Binding, &a.Nonce}[i] = []byte("x")
		*[]*[]byte{&b.Certificate, &b.Binding, &b.Nonce}[i] = []byte("x")
		check(fmt.Sprint("caller part ", i), signaling.Authenticate("id", a, callee))
		check(fmt.Sprint("callee part ", i), signaling.Authenticate("id", caller, b))
	}
	moved := caller
	moved.Certificate, moved.Binding = []byte("cab"), []byte("a")
	check("bytes moved between parts", signaling.Authenticate("id", moved, callee))
}

// TestSASVector holds the string and the commitment to values computed by a
// second program; they are printed in docs/protocol.md.
func TestSASVector(t *testing.T) {
	caller := signaling.Party{Certificate: []byte("ca"), Binding: []byte("ba"), Nonce: bytes.Repeat([]byte{7}, 32)}
	callee := signaling.Party{Certificate: []byte("cb"), Binding: []byte("bb"), Nonce: bytes.Repeat([]byte{9}, 32)}
	if got := fmt.Sprintf("%x", signaling.Commit(caller.Nonce)); got != "7afc49c3db5225958b5bed618d4ba92ee2d9dd2430f124a49e015d79a09f0700" {
		t.Errorf("commitment %s", got)
	}
	if got := signaling.Authenticate("0123456789abcdef0123456789abcdef", caller, callee); got != (signaling.SAS{1322, 1562, 61, 2037}) {
		t.Errorf("string %v", got)
	}
}
