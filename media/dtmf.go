package media

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/peerd/peerd/audio"
)

var (
	errNoEvents      = errors.New("the other end knows no telephone-event")
	errNotNegotiated = errors.New("payload types are not agreed yet")
)

// keys in the order of their event codes (RFC 4733 section 3.2).
const keys = "0123456789*#ABCD"

// Length of a digit and of the pause after it, in frames: 100 ms and 60 ms.
const (
	digitFrames = 5
	pauseFrames = 3
	endRepeats  = 3 // RFC 4733 section 2.5.1.4
	maxDigits   = 64
	maxHeard    = 256 // digits of the other end in one call; what comes after them is not told
)

// eventVolume is -10 dBm0 (RFC 4733 section 2.3.5).
const eventVolume = 10

// DTMF sends digits (0-9, *, #, A-D) as telephone-events beside the sound, one
// after another; it returns at once. Errors wrap ErrBadDigit or ErrState.
func (s *Session) DTMF(digits string) error {
	codes := make([]byte, 0, len(digits))
	for _, r := range strings.ToUpper(digits) {
		code := strings.IndexRune(keys, r)
		if code < 0 {
			return fmt.Errorf("%w: %q", ErrBadDigit, r)
		}
		codes = append(codes, byte(code))
	}
	if _, _, event := s.track.types(); event == 0 {
		return fmt.Errorf("sending digits: %w: %w", ErrState, errNoEvents)
	}
	s.digitMu.Lock()
	defer s.digitMu.Unlock()
	if len(s.digits)+len(codes) > maxDigits {
		return fmt.Errorf("sending digits: %w: more than %d waiting", ErrState, maxDigits)
	}
	s.digits = append(s.digits, codes...)
	return nil
}

// keypad is the digit being sent.
type keypad struct {
	code  byte
	frame int // frames since it began, 0: none
	begin uint32
	buf   [4]byte
}

// sendKeys sends the event packets that belong to the frame at timestamp.
func (s *Session) sendKeys(k *keypad, timestamp uint32) {
	if k.frame == 0 && !s.nextDigit(k, timestamp) {
		return
	}
	k.frame++
	switch {
	case k.frame < digitFrames:
		k.send(s.track, uint16(k.frame*audio.FrameSamples), false)
	case k.frame == digitFrames:
		for range endRepeats {
			k.send(s.track, digitFrames*audio.FrameSamples, true)
		}
	case k.frame >= digitFrames+pauseFrames:
		k.frame = 0
	}
}

func (s *Session) nextDigit(k *keypad, timestamp uint32) bool {
	s.digitMu.Lock()
	defer s.digitMu.Unlock()
	if len(s.digits) == 0 {
		return false
	}
	k.code, k.begin, s.digits = s.digits[0], timestamp, s.digits[1:]
	return true
}

func (k *keypad) send(t *track, duration uint16, end bool) {
	k.buf[0], k.buf[1] = k.code, eventVolume
	if end {
		k.buf[1] |= 0x80
	}
	binary.BigEndian.PutUint16(k.buf[2:], duration)
	_ = t.sendEvent(k.begin, k.frame == 1, k.buf[:]) // repeated anyway
}

// digitHeard reads a telephone-event packet. Every packet of one digit carries
// the timestamp of its beginning, so a new one is a new digit.
func (r *receivePath) digitHeard(timestamp uint32, payload []byte) (rune, bool) {
	if len(payload) < 4 || int(payload[0]) >= len(keys) {
		return 0, false
	}
	if r.digitsHeard >= maxHeard || r.digitsHeard > 0 && int32(timestamp-r.digitBegin) <= 0 {
		return 0, false
	}
	r.digitBegin = timestamp
	r.digitsHeard++
	return rune(keys[payload[0]]), true
}

func randomTimestamp() uint32 { return rand.Uint32() }
