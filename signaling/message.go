package signaling

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Protocol is the name under which the call stream is opened.
const Protocol = "/peerd/call/1"

// Version is the version of every message this package writes.
const Version = 1

// Bounds of what a peer may send. A frame over MaxMessage is refused before a
// byte of it is stored; the fields are checked one by one afterwards.
const (
	MaxMessage     = 64 << 10 // bytes of one frame's body
	MaxCertificate = 2 << 10  // bytes
	MaxBinding     = 1 << 10  // bytes
	MaxProof       = 64       // bytes
	MaxSDP         = 32 << 10 // bytes
	MaxCandidate   = 2 << 10  // bytes
	MaxText        = 200      // bytes of printable ASCII
	NonceSize      = 32       // bytes, exactly
	CommitSize     = 32       // bytes, exactly (SHA-256)
	CallIDSize     = 16       // bytes, written as 32 lower-case hexadecimal digits
)

// MessageType is the word that says what a message is.
type MessageType string

// The message types of version 1. Others are skipped, so that a later version
// can add some without breaking this one.
const (
	TypeOffer     MessageType = "offer"     // caller: call_id, certificate, binding, commit, sdp; perhaps proof
	TypeRinging   MessageType = "ringing"   // callee: certificate, binding, nonce together or later; sdp or later
	TypeReveal    MessageType = "reveal"    // caller: nonce
	TypeAccept    MessageType = "accept"    // callee: what ringing did not carry
	TypeCandidate MessageType = "candidate" // both: candidate
	TypeHold      MessageType = "hold"      // both
	TypeResume    MessageType = "resume"    // both
	TypeEnd       MessageType = "end"       // both: reason, text; the answer to an end is an end
)

// Message is one message of the call protocol. Its body never shows in logs:
// printing and logging it give type and call id alone.
type Message struct {
	V           int         `json:"v"`
	Type        MessageType `json:"type"`
	CallID      string      `json:"call_id,omitempty"`
	Certificate []byte      `json:"certificate,omitempty"`
	Binding     []byte      `json:"binding,omitempty"`
	Proof       []byte      `json:"proof,omitempty"`
	Commit      []byte      `json:"commit,omitempty"`
	Nonce       []byte      `json:"nonce,omitempty"`
	SDP         []byte      `json:"sdp,omitempty"`
	Candidate   []byte      `json:"candidate,omitempty"`
	Reason      EndReason   `json:"reason,omitempty"`
	Text        string      `json:"text,omitempty"`
}

// LogValue shows type and call id, never the body.
func (m Message) LogValue() slog.Value {
	return slog.GroupValue(slog.String("type", string(m.Type)), slog.String("call", m.CallID))
}

// String shows type and call id, never the body.
func (m Message) String() string { return string(m.Type) + " " + m.CallID }

// GoString is String, so that %#v does not show the body either.
func (m Message) GoString() string { return m.String() }

// ReadMessage reads one frame (a 4-byte big-endian length, then that many
// bytes of JSON) and checks it. Faults of the peer wrap ErrTooLarge,
// ErrUnsupportedVersion or ErrMalformed; other errors are the reader's own.
func ReadMessage(r io.Reader) (Message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Message{}, fmt.Errorf("read call message: %w", err)
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > MaxMessage {
		return Message{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, size, MaxMessage)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return Message{}, fmt.Errorf("read call message: %w", err)
	}
	return parse(body)
}

// WriteMessage writes m as one frame in one Write. It sets the version and
// refuses what the other end would refuse.
func WriteMessage(w io.Writer, m Message) error {
	frame, err := m.frame()
	if err != nil {
		return err
	}
	_, err = w.Write(frame)
	return err
}

func (m Message) frame() ([]byte, error) {
	m.V = Version
	if err := m.check(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write call message: %w", err)
	}
	if len(body) > MaxMessage {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(body))
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...), nil
}

// parse reads the version by itself first: a later version may give other
// shapes to the other fields, and is still to be refused by its name.
func parse(body []byte) (Message, error) {
	var version struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(body, &version); err != nil {
		return Message{}, fmt.Errorf("%w: not a JSON object with a version", ErrMalformed)
	}
	if version.V != Version {
		return Message{}, fmt.Errorf("%w: the peer speaks version %d, this end version %d",
			ErrUnsupportedVersion, version.V, Version)
	}
	var m Message
	if err := json.Unmarshal(body, &m); err != nil {
		return Message{}, fmt.Errorf("%w: a field is of the wrong kind", ErrMalformed)
	}
	m.Text = printable(m.Text)
	return m, m.check()
}

// check holds each field to its bound and each type to its required fields.
func (m Message) check() error {
	for _, f := range []struct {
		name     string
		got, max int
	}{
		{"certificate", len(m.Certificate), MaxCertificate},
		{"binding", len(m.Binding), MaxBinding},
		{"proof", len(m.Proof), MaxProof},
		{"sdp", len(m.SDP), MaxSDP},
		{"candidate", len(m.Candidate), MaxCandidate},
		{"text", len(m.Text), MaxText},
	} {
		if f.got > f.max {
			return fmt.Errorf("%w: %s has %d bytes, at most %d are allowed", ErrMalformed, f.name, f.got, f.max)
		}
	}
	if bad := m.badField(); bad != "" {
		return fmt.Errorf("%w: %s", ErrMalformed, bad)
	}
	return nil
}

// badField names what is missing or wrong for the message's type, or "".
func (m Message) badField() string {
	switch m.Type {
	case TypeOffer:
		return firstOf(
			problem(!ValidCallID(m.CallID), "an offer needs a call id of 32 lower-case hexadecimal digits"),
			problem(len(m.Certificate) == 0 || len(m.Binding) == 0 || len(m.SDP) == 0, "an offer needs certificate, binding and sdp"),
			problem(len(m.Commit) != CommitSize, "an offer needs a commitment of 32 bytes"))
	case TypeRinging, TypeAccept:
		identity := len(m.Certificate) > 0
		return firstOf(
			problem(len(m.Binding) > 0 != identity || len(m.Nonce) > 0 != identity, "certificate, binding and nonce travel together"),
			problem(identity && len(m.Nonce) != NonceSize, "a nonce has 32 bytes"))
	case TypeReveal:
		return problem(len(m.Nonce) != NonceSize, "a nonce has 32 bytes")
	case TypeCandidate:
		return problem(len(m.Candidate) == 0, "the candidate is empty")
	case TypeEnd:
		return problem(m.Reason == "" || len(m.Reason) > MaxText, "an end needs a reason")
	case TypeHold, TypeResume:
		return ""
	default:
		return problem(m.Type == "" || len(m.Type) > MaxText, "the type is missing")
	}
}

func problem(is bool, text string) string {
	if is {
		return text
	}
	return ""
}

func firstOf(problems ...string) string {
	for _, p := range problems {
		if p != "" {
			return p
		}
	}
	return ""
}

// ValidCallID reports whether id is 32 lower-case hexadecimal digits.
func ValidCallID(id string) bool {
	raw, err := hex.DecodeString(id)
	return err == nil && len(raw) == CallIDSize && hex.EncodeToString(raw) == id
}

// printable cuts a peer's sentence to MaxText bytes of printable ASCII: it is
// shown on terminals.
func printable(text string) string {
	out := make([]byte, 0, min(len(text), MaxText))
	for i := 0; i < len(text) && len(out) < MaxText; i++ {
		if c := text[i]; c >= ' ' && c <= '~' {
			out = append(out, c)
		}
	}
	return string(out)
}
