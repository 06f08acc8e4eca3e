package phone

import (
	"errors"
	"time"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/signaling"
)

// Glare: both people call each other at once. The call with the lower id goes
// on at both ends, and both users end in it: the phone whose call gave way
// answers the other one by itself, since its user wanted this call. For the
// user it is still the call that was dialled: its id stays.
//
// signaling settles it where both offers cross on the wire. Here come the
// cases that it cannot see. What our own call may be when the other end's comes:
//
//	not placed yet                  the other end's goes on
//	placed after that was let in    the lower id goes on
//	placed before                   signaling has ended the higher id
//	ended by glare                  the other end's goes on, whatever its id
//	ended otherwise                 they do not cross; the other end's rings
//
// The call that goes on is accepted only once the other end has answered the end
// of the one that gave way: its offer may still be on its way, and would be taken
// for a second call by somebody whose call is accepted already.

// errGaveWay: the other end's call loses against ours.
var errGaveWay = errors.New("both called each other, and our call goes on")

// rivalLocked finds the call that c may cross: with the same person, in the
// other direction, not accepted yet.
func (p *Phone) rivalLocked(c *call) *call {
	mine := c.facts()
	for _, other := range p.calls {
		o := other.facts()
		if o.Direction != mine.Direction && o.Remote.Account == mine.Remote.Account && o.Live() && o.Answered.IsZero() {
			return other
		}
	}
	return nil
}

// takeOver makes the other end's call to us the continuation of this outgoing
// one. It returns errGaveWay where that call is to be refused, and ErrWrongState
// where it is another than the one crossed, and rings.
func (c *call) takeOver(signal *signaling.Call, in *call) error {
	return c.do(func() error {
		if c.over || c.crossed || c.accepted {
			return ErrWrongState
		}
		if err := c.giveWay(signal, in.device); err != nil {
			return err
		}
		c.letGo()
		c.crossed = true
		c.device, c.account, c.name = in.device, in.account, in.name
		c.bound, c.verified = in.bound, true
		c.log.Info("both called each other", "goes_on", signal.ID()[:8])
		c.update(func(rec *Call) { rec.Remote.Device, rec.Ended = c.device.String(), time.Time{} })
		c.invited(signal)
		return nil
	})
}

// giveWay ends our own call, if it was placed, in favour of one from device; or
// says why not.
func (c *call) giveWay(signal *signaling.Call, device identity.DeviceID) error {
	if c.signal == nil {
		return nil
	}
	switch own := c.signal.State(); {
	case c.device != device:
		return ErrWrongState
	case own.Reason == signaling.ReasonGlare:
		return nil
	case own.Phase != signaling.PhaseLive:
		return ErrWrongState
	case signal.ID() > c.wireID:
		return errGaveWay
	}
	_ = c.signal.End(signaling.ReasonGlare) // an error: the other end was quicker
	return nil
}

// letGo drops what belongs to the call that gave way; only its last events are
// waited for.
func (c *call) letGo() {
	c.giveUp()
	c.stopMedia()
	c.yielded, c.signals = c.signals, nil
	c.crossing = nil
	c.verified, c.described, c.pathSeen = false, false, false
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handset = c.phone.card.handset()
}

// acceptCrossed accepts the other end's call for a user who has dialled, once
// nothing is left of the call that gave way.
func (c *call) acceptCrossed() {
	if c.yielded != nil || !c.ringsHere() {
		return
	}
	if err := c.accept(true); err != nil {
		c.fail(reasonFor(err), err)
	}
}
