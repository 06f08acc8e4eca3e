package e2e_test

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/signaling"
)

// A fraud is an offer with something false in it.
type fraud struct {
	name     string
	accepted bool // it is found out only by a callee that accepts
	twist    func(*fake)
	reason   signaling.EndReason
}

// fake is an offer before it is sent.
type fake struct {
	t           *testing.T
	id          *identity.Identity
	callID      string
	certificate []byte
	sdp         string
	bound       string                                // fingerprint the binding is about
	sign        func([]byte) ([]byte, error)          // of the binding
	other       func(t *testing.T) *identity.Identity // somebody else
}

// anotherFingerprint is one of no certificate.
var anotherFingerprint = strings.TrimSuffix(strings.Repeat("AB:", 32), ":")

var frauds = []fraud{
	{"forged certificate", false, func(f *fake) {
		c := f.id.Certificate()
		c.Account = f.other(f.t).Account()
		f.certificate = c.Marshal()
	}, signaling.ReasonBadIdentity},
	{"certificate of another device", false, func(f *fake) {
		f.certificate = f.other(f.t).Certificate().Marshal()
	}, signaling.ReasonBadIdentity},
	{"garbage for a certificate", false, func(f *fake) {
		f.certificate = []byte("certificate")
	}, signaling.ReasonBadIdentity},
	{"fingerprint signed by another device", false, func(f *fake) {
		f.sign = f.other(f.t).SignDevice
	}, signaling.ReasonBadFingerprint},
	{"fingerprint in the description is not the signed one", true, func(f *fake) {
		f.bound = anotherFingerprint
	}, signaling.ReasonBadFingerprint},
	{"DTLS certificate is not the signed one", true, func(f *fake) {
		f.sdp = strings.ReplaceAll(f.sdp, f.bound, anotherFingerprint)
		f.bound = anotherFingerprint
	}, signaling.ReasonBadFingerprint},
	{"description that is none", true, func(f *fake) {
		f.sdp = "v=0\r\nno description\r\n"
	}, signaling.ReasonProtocolError},
}

// call makes a call with a fraud in it, as docs/protocol.md tells, and returns
// the reason that the other end gives for its end.
func (a *attacker) call(f fraud) signaling.EndReason {
	a.t.Helper()
	engine, err := media.NewEngine(media.EngineConfig{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		a.t.Fatal(err)
	}
	defer engine.Close()
	session, err := engine.NewSession(media.SessionConfig{Offerer: true})
	if err != nil {
		a.t.Fatal(err)
	}
	defer session.Close()
	sdp, err := session.Offer(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	of := &fake{
		t: a.t, id: a.id, callID: hex.EncodeToString(random(signaling.CallIDSize)), certificate: a.id.Certificate().Marshal(), sdp: string(sdp),
		bound: session.Fingerprint(), sign: a.id.SignDevice, other: somebodyElse,
	}
	of.bound = regexp.MustCompile(`[0-9A-Fa-f:]{95}`).FindString(of.bound)
	f.twist(of)
	return a.play(of, session)
}

// play sends the offer and goes on as a caller does until the other end ends.
func (a *attacker) play(of *fake, session *media.Session) signaling.EndReason {
	a.t.Helper()
	s := a.open(callProto)
	defer func() { _ = s.Reset() }()
	nonce := random(signaling.NonceSize)
	commit := signaling.Commit(nonce)
	a.send(s, signaling.Message{
		Type: signaling.TypeOffer, CallID: of.callID, Certificate: of.certificate,
		Binding: a.binding(of), Commit: commit[:], SDP: []byte(of.sdp),
	})
	for {
		m, err := signaling.ReadMessage(s)
		if err != nil {
			a.t.Errorf("the other end leaves without a reason: %v", err)
			return ""
		}
		if m.Type == signaling.TypeEnd {
			a.send(s, signaling.Message{Type: signaling.TypeEnd, Reason: m.Reason})
			return m.Reason
		}
		if len(m.Nonce) > 0 {
			a.send(s, signaling.Message{Type: signaling.TypeReveal, Nonce: nonce})
		}
		if len(m.SDP) > 0 {
			if err := session.SetAnswer(m.SDP); err != nil {
				a.t.Error(err)
			}
		}
	}
}

func (a *attacker) send(s interface{ Write([]byte) (int, error) }, m signaling.Message) {
	a.t.Helper()
	if err := signaling.WriteMessage(s, m); err != nil && m.Type == signaling.TypeOffer {
		a.t.Fatal(err)
	}
}

// binding is the caller's word about its fingerprint.
func (a *attacker) binding(of *fake) []byte {
	a.t.Helper()
	fp, err := hex.DecodeString(strings.ReplaceAll(of.bound, ":", ""))
	if err != nil || len(fp) != 32 {
		a.t.Fatalf("fingerprint %q: %v", of.bound, err)
	}
	msg := []byte("peerd call binding 1\x00")
	for _, field := range []string{of.callID, "caller", string(fp), string(a.host.ID()), string(a.at)} {
		msg = append(binary.BigEndian.AppendUint16(msg, uint16(len(field))), field...)
	}
	sig, err := of.sign(msg)
	if err != nil {
		a.t.Fatal(err)
	}
	return append(append([]byte{1}, fp...), sig...)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func somebodyElse(t *testing.T) *identity.Identity {
	t.Helper()
	id, _, err := identity.New("eve", nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
