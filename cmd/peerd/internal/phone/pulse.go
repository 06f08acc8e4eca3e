package phone

import (
	"context"
	"time"
)

// A device that dies without a word leaves a phone ringing, and its connection
// looks open for half a minute. So until sound can flow, and its path can tell,
// the other end is asked now and then.
const (
	pulseEvery = 2 * time.Second
	pulseLimit = 7 * time.Second
)

// unheard reports whether nothing but signaling tells that the other end is there.
func (c *call) unheard() bool {
	return c.signals != nil && c.crossing == nil && (!c.accepted || !c.pathSeen)
}

// feelPulse asks whether the other end's device is still there.
func (c *call) feelPulse() {
	if !c.unheard() || c.pulse != nil {
		return
	}
	answer := make(chan bool, 1)
	c.pulse = answer
	device := c.device
	c.phone.wg.Go(func() {
		ctx, cancel := context.WithTimeout(c.phone.ctx, pulseLimit)
		defer cancel()
		alive := c.phone.node.Answers(ctx, device)
		answer <- alive || c.phone.ctx.Err() != nil
	})
}
