package signaling_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/peerd/peerd/signaling"
)

func FuzzReadMessage(f *testing.F) {
	for _, m := range samples() {
		var wire bytes.Buffer
		if err := signaling.WriteMessage(&wire, m); err != nil {
			f.Fatal(err)
		}
		f.Add(wire.Bytes())
	}
	f.Add(frame(`{"v":2}`))
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, wire []byte) {
		m, err := signaling.ReadMessage(bytes.NewReader(wire))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := signaling.WriteMessage(&again, m); err != nil {
			if errors.Is(err, signaling.ErrTooLarge) {
				return // a text that JSON writes longer than it was read
			}
			t.Fatalf("a message that was read cannot be written: %v", err)
		}
		if back, err := signaling.ReadMessage(&again); err != nil || !reflect.DeepEqual(normal(back), normal(m)) {
			t.Fatalf("read %#v, then %#v, %v", m, back, err)
		}
	})
}

// normal drops the difference between no bytes and empty bytes.
func normal(m signaling.Message) signaling.Message {
	for _, b := range []*[]byte{&m.Certificate, &m.Binding, &m.Commit, &m.Nonce, &m.SDP, &m.Candidate} {
		if len(*b) == 0 {
			*b = nil
		}
	}
	return m
}

// script is a stream whose peer has said all it ever says.
type script struct{ *bytes.Reader }

func (script) Write(b []byte) (int, error) { return len(b), nil }
func (script) Close() error                { return nil }
func (script) Reset() error                { return nil }
func (script) Peer() string                { return "fuzz" }

// FuzzIncoming gives a whole stream to a phone that answers: whatever the
// bytes are, a call that was offered ends with a known reason, and there is
// no sound without accept.
func FuzzIncoming(f *testing.F) {
	var all bytes.Buffer
	for _, m := range samples() {
		if err := signaling.WriteMessage(&all, m); err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(all.Bytes()), true)
		f.Add(bytes.Clone(all.Bytes()), false)
	}
	f.Fuzz(func(t *testing.T, wire []byte, accept bool) {
		m := signaling.NewManager(signaling.Config{})
		defer m.Close()
		c, err := m.Incoming(script{bytes.NewReader(wire)})
		if err != nil {
			if !errors.Is(err, signaling.ErrRefused) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		accepted := c.Ringing(answer) == nil && accept && c.Accept(signaling.Answer{}) == nil
		c.PathUp()
		_ = c.Hangup()
		var last signaling.Event
		for last = range c.Events() {
			if _, ok := last.(signaling.Start); ok && !accepted {
				t.Fatal("media without accept")
			}
		}
		if e, ok := last.(signaling.Ended); !ok || !e.Reason.Known() {
			t.Fatalf("the last event is %T %+v", last, last)
		}
	})
}

var _ io.ReadWriteCloser = script{}
