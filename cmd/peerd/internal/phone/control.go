package phone

import (
	"fmt"
	"strings"

	"github.com/peerd/peerd/signaling"
)

// Answer accepts a ringing call. When the sound device does not open, the error
// says so and the call goes on ringing. An empty id means the only fitting
// call, here and in the methods below.
func (p *Phone) Answer(id string) error {
	return p.control("answer", id, ringsForUser, func(c *call) error { return c.accept(true) })
}

// Reject declines a ringing call.
func (p *Phone) Reject(id string) error {
	return p.control("reject", id, ringsForUser, func(c *call) error {
		c.end(signaling.ReasonDeclined)
		return nil
	})
}

// Hangup ends a call in any state: cancels, declines or hangs up.
func (p *Phone) Hangup(id string) error {
	return p.control("hang up", id, Call.Live, func(c *call) error {
		switch {
		case c.accepted:
			c.end(signaling.ReasonHangup)
		case c.ringsHere():
			c.end(signaling.ReasonDeclined)
		default:
			c.end(signaling.ReasonCancelled)
		}
		return nil
	})
}

// Hold puts the other end on hold.
func (p *Phone) Hold(id string) error {
	fits := func(c Call) bool { return talks(c) && !c.Held }
	return p.control("hold", id, fits, func(c *call) error { return c.hold(true) })
}

// Resume takes the other end off hold. If another call has taken the sound
// device meanwhile, that one is put on hold.
func (p *Phone) Resume(id string) error {
	fits := func(c Call) bool { return talks(c) && c.Held }
	return p.control("resume", id, fits, func(c *call) error { return c.hold(false) })
}

// Mute turns our microphone off for a call.
func (p *Phone) Mute(id string) error {
	fits := func(c Call) bool { return c.Live() && !c.Muted }
	return p.control("mute", id, fits, func(c *call) error { c.mute(true); return nil })
}

// Unmute turns our microphone on again.
func (p *Phone) Unmute(id string) error {
	fits := func(c Call) bool { return c.Live() && c.Muted }
	return p.control("unmute", id, fits, func(c *call) error { c.mute(false); return nil })
}

// DTMF sends digits (0-9 * # A-D) as telephone events.
func (p *Phone) DTMF(id, digits string) error {
	digits = strings.ToUpper(digits)
	if digits == "" || strings.Trim(digits, "0123456789*#ABCD") != "" {
		return fmt.Errorf("send %q: %w", digits, ErrBadDigits)
	}
	return p.control("send digits", id, talks, func(c *call) error {
		if !c.accepted || c.session == nil {
			return ErrWrongState
		}
		return c.session.DTMF(digits)
	})
}

func ringsForUser(c Call) bool { return c.Direction == Incoming && c.State == StateRinging }

func talks(c Call) bool { return c.Live() && !c.Answered.IsZero() }

// control finds a call and has its owner do something with it.
func (p *Phone) control(verb, id string, fits func(Call) bool, f func(*call) error) error {
	c, err := p.pick(id, fits)
	if err == nil {
		err = c.do(func() error { return f(c) })
	}
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

// hold is asked for by the user, and by another call that needs the device.
func (c *call) hold(on bool) error {
	if !c.accepted || c.session == nil {
		return ErrWrongState
	}
	if !on {
		if err := c.pickUp(true); err != nil {
			return err
		}
	}
	c.session.Hold(on)
	if err := c.signal.Hold(on); err != nil {
		c.report(err, "telling the other end of hold or resume")
	}
	c.update(func(rec *Call) { rec.Held = on })
	return nil
}

func (c *call) mute(on bool) {
	if c.session != nil {
		c.session.Mute(on)
	}
	c.update(func(rec *Call) { rec.Muted = on })
}

// pick finds the live call that id names, by a unique prefix, or the only one
// that fits.
func (p *Phone) pick(id string, fits func(Call) bool) (*call, error) {
	found := p.candidates(id, fits)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, ErrAmbiguousCall
	case id == "":
		return nil, ErrNoFittingCall
	}
	if _, err := p.Call(id); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: it is over", ErrWrongState)
}

func (p *Phone) candidates(id string, fits func(Call) bool) (found []*call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if id == "" && fits(c.facts()) || id != "" && strings.HasPrefix(c.id, id) {
			found = append(found, c)
		}
	}
	return found
}
