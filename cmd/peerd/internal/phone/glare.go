package phone

import (
	"errors"
	"time"

	"github.com/peerd/peerd/signaling"
)

// Glare: both people call each other at once. The call with the lower id goes
// on at both ends, and both users end in it: the phone whose call gave way
// answers the other one by itself, since its user wanted this call. For the
// user it is still the call that was dialled: its id stays.
//
// signaling settles it where both offers cross on the wire. Here come the
// cases that it cannot see: our call had not reached anybody yet when the other
// end's came (then that one goes on), or it had been placed in between.

// errGaveWay: the other end's call loses against ours.
var errGaveWay = errors.New("both called each other, and our call goes on")

// rivalLocked finds the call that c may cross: with the same person, in the
// other direction, not accepted yet.
func (p *Phone) rivalLocked(c *call) *call {
	mine := c.snapshot()
	for _, other := range p.calls {
		o := other.snapshot()
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
		switch early := c.signal == nil; {
		case c.over || c.crossed || c.accepted || !early && c.device != in.device:
			return ErrWrongState
		case !early && signal.ID() > c.wireID:
			return errGaveWay
		case !early:
			_ = c.signal.End(signaling.ReasonGlare) // an error: the other end was quicker
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

// letGo drops what belongs to the call that gave way.
func (c *call) letGo() {
	c.giveUp()
	c.stopMedia()
	if c.signals != nil {
		c.phone.drain(c.signal)
	}
	c.crossing = nil
	c.verified, c.described, c.pathSeen = false, false, false
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handset = c.phone.card.handset()
}
