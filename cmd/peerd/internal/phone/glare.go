package phone

import (
	"time"

	"github.com/peerd/peerd/signaling"
)

// Glare: both people call each other at once. One of the two calls goes on at
// both ends (signaling settles which), and both users end in it: the phone
// whose call gave way answers the other one's by itself, since its user wanted
// this call. For the user it is still the call that was dialled: its id stays.

// crossing finds our own call that signal crosses: one that signaling says
// lost against it, or one to the same account that has not reached anybody yet.
func (p *Phone) crossing(signal *signaling.Call, in *call) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if c.rec.Direction == Outgoing && (c.id == signal.Replaces() || c.link.Account == in.account) {
			return c
		}
	}
	return nil
}

// takeOver makes the other end's call to us the continuation of this outgoing
// one. It reports false where this call is another than the one crossed.
func (c *call) takeOver(signal *signaling.Call, in *call) bool {
	err := c.do(func() error {
		early := c.signal == nil && c.reaching != nil
		lost := c.signal != nil && c.signal.ID() == signal.Replaces()
		if c.over || c.crossed || c.accepted || !early && !lost {
			return ErrWrongState
		}
		c.crossed, c.crossing = true, nil
		c.giveUp()
		c.stopMedia()
		if c.signals != nil {
			c.phone.drain(c.signal)
		}
		c.device, c.account, c.name = in.device, in.account, in.name
		c.bound, c.verified, c.described, c.pathSeen = in.bound, true, false, false
		c.handset = c.phone.card.handset()
		c.log.Info("both called each other", "goes_on", signal.ID()[:8])
		c.update(func(rec *Call) { rec.Remote.Device = c.device.String(); rec.Ended = time.Time{} })
		c.invited(signal)
		return nil
	})
	return err == nil
}
