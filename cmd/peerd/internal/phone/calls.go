package phone

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/node"
	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/signaling"
)

// What happens when Alice calls Bob:
//
//	Alice's phone                                        Bob's phone
//
//	Dial: who is that? a contact's link
//	reach: look up and connect to one of his devices
//	       media session and its SDP offer
//	       device key signs the DTLS fingerprint
//	place: offer ------------------------------------->  incoming: blocked? certificate? fingerprint?
//	                                                     invited: media session
//	                                                     ring:   SDP answer (to strangers: at accept)
//	heed:  certificate? fingerprint?  <------ ringing    the user is told, or AnswerMode answers
//	          <== ICE and DTLS come up while it rings ==>
//	                                                     accept: sound device opens
//	       sound device opens  <-------------- accept    sound begins
//	       sound begins
//	          <============ encrypted sound ============>
//	hang up  <------------------ end ------------------> hang up
//
// Each call has a goroutine that owns it (run, in call.go); what is below are
// the steps it takes, except reach and incoming, which may wait and run beside.
const (
	reachTimeout = 20 * time.Second       // to find and connect a device
	grantWait    = 300 * time.Millisecond // for relays; a call that needs none shall not wait
)

// Dial calls a contact by name, or a contact link, and returns at once with the
// id of the call; everything else is told by events. Where the other end calls
// us at the same moment, one call goes on, and it keeps this id here. Where it
// rings already, Dial answers.
func (p *Phone) Dial(who string) (id string, err error) {
	id, err = p.dial(who)
	if err != nil {
		return "", fmt.Errorf("call %q: %w", who, err)
	}
	return id, nil
}

func (p *Phone) dial(who string) (id string, err error) {
	to, err := p.resolve(who)
	if err != nil {
		return "", err
	}
	if p.cfg.Encoder == nil {
		return "", ErrNoEncoder
	}
	if id, err = p.signals.NewCallID(); err != nil {
		return "", err
	}
	c := p.newCall(id, Outgoing, Remote{Account: to.link.Account.String(), Name: to.name, Stranger: to.stranger})
	c.link = to.link
	rival, err := p.register(c)
	if rival != nil {
		err = rival.do(func() error { return rival.accept(true) })
		if err == nil {
			return rival.id, nil
		}
		if errors.Is(err, ErrWrongState) { // it is over
			err = p.registerBeside(c)
		}
	}
	if err != nil {
		return "", err
	}
	go c.run(c.reachBeside)
	return id, nil
}

// reached is what looking somebody up leads to.
type reached struct {
	peer    node.Peer
	stream  node.Stream
	session *media.Session
	offer   signaling.Offer
	turn    func()
	err     error
}

func (r reached) discard() {
	r.turn()
	if r.stream != nil {
		_ = r.stream.Reset()
	}
	if r.session != nil {
		_ = r.session.Close()
	}
}

// reachBeside runs reach without making the call's owner wait for it.
func (c *call) reachBeside() {
	ctx, cancel := context.WithTimeout(c.phone.ctx, reachTimeout)
	c.giveUp = cancel
	found := make(chan reached, 1)
	c.reaching = found
	c.phone.wg.Go(func() {
		defer cancel()
		turn := c.phone.turns.enter(ctx)
		r, err := c.reach(ctx)
		r.turn, r.err = turn, err
		found <- r
	})
}

// reach finds a device of the callee, opens a stream to it and prepares the
// offer. What it returns is the caller's to discard, also with an error.
func (c *call) reach(ctx context.Context) (r reached, err error) {
	begun := time.Now()
	if r.peer, err = c.phone.node.Connect(ctx, c.link); err != nil {
		return r, err
	}
	c.update(func(rec *Call) {
		rec.Lookup = time.Since(begun)
		rec.Remote.Device = r.peer.Device.String()
		if rec.Remote.Name == "" {
			rec.Remote.Name = r.peer.Certificate.Name
		}
	})
	if r.stream, err = c.phone.node.Stream(ctx, r.peer.Device, signaling.Protocol); err != nil {
		return r, err
	}
	if r.session, err = c.newSession(ctx, true); err != nil {
		return r, err
	}
	if r.offer.SDP, err = r.session.Offer(ctx); err != nil {
		return r, err
	}
	r.offer.CallID = c.id
	r.offer.Certificate = c.phone.certificate()
	if r.offer.Proof, err = proveLink(c.link, c.id, c.phone.cfg.Identity.Device(), r.peer.Device); err != nil {
		return r, err
	}
	r.offer.Binding, err = c.phone.bind(c.id, roleCaller, r.session, r.peer.Device)
	return r, err
}

// place sends the offer, unless the call is over by now, or the callee has
// called us meanwhile and we are in that call already.
func (c *call) place(r reached) {
	c.reaching = nil
	if c.over || c.signal != nil {
		r.discard()
		return
	}
	if r.err != nil {
		r.discard()
		c.fail(reasonFor(r.err), r.err)
		return
	}
	signal, err := c.phone.signals.Dial(callStream{r.stream}, r.offer)
	if err != nil {
		r.turn()
		_ = r.session.Close()
		c.fail(reasonFor(err), err)
		return
	}
	c.device, c.turn = r.peer.Device, r.turn
	c.adoptSession(r.session)
	c.adoptSignal(signal)
}

// heed checks what the callee has shown of itself with ringing or accept, each
// part as it comes, and lets ICE and DTLS begin.
func (c *call) heed(a signaling.Answer) error {
	if len(a.Certificate) > 0 && !c.verified {
		if err := c.verify(a.Certificate, a.Binding, roleCallee); err != nil {
			return err
		}
	}
	if len(a.SDP) == 0 || c.described {
		return nil
	}
	if !c.verified {
		return fmt.Errorf("%w: a session description without a certificate", errBadIdentity)
	}
	c.described = true
	if err := c.checkFingerprint(a.SDP); err != nil {
		return err
	}
	return c.session.SetAnswer(a.SDP)
}

// incoming serves one stream that somebody has opened to call us. It runs in a
// goroutine of the node, until the call is over.
func (p *Phone) incoming(stream node.Stream) {
	signal, err := p.signals.Incoming(callStream{stream})
	if err != nil {
		p.log.Debug("no call came of a stream", "device", stream.Device(), "err", err)
		return
	}
	c := p.newCall(signal.ID(), Incoming, Remote{Device: stream.Device().String()})
	c.device = stream.Device()
	offer := signal.Offer()
	if err = c.verify(offer.Certificate, offer.Binding, roleCaller); err != nil {
		p.refuse(signal, c, reasonFor(err), err)
		return
	}
	if _, err = p.store.Call(c.id); err == nil { // what is in the history stays as it is
		p.refuse(signal, c, signaling.ReasonProtocolError, signaling.ErrDuplicate)
		return
	}
	if contact, known := p.contactOf(c.account); known && contact.Blocked {
		p.refuse(signal, c, signaling.ReasonDeclined, ErrBlocked)
		return
	}
	c.introduce()
	c.automatic = c.answersItself(offer.Proof)
	own, err := p.register(c)
	if own != nil {
		switch err = own.takeOver(signal, c); {
		case err == nil:
			return
		case errors.Is(err, ErrWrongState): // they do not cross
			err = p.registerBeside(c)
		}
	}
	if err != nil {
		p.refuse(signal, c, reasonFor(err), err)
		return
	}
	c.run(func() { c.invited(signal) })
}

// refuse ends a call that never becomes one of ours, with one line in the log.
func (p *Phone) refuse(signal *signaling.Call, c *call, reason signaling.EndReason, why error) {
	p.log.Warn("call refused", "call", c.id, "device", c.device, "account", c.account, "reason", reason, "why", why)
	_ = signal.End(reason)      // an error: the caller has left
	for range signal.Events() { //nolint:revive // until it is closed
	}
}

// invited prepares the callee's side and rings.
func (c *call) invited(signal *signaling.Call) {
	c.adoptSignal(signal)
	ctx, cancel := context.WithTimeout(c.phone.ctx, reachTimeout)
	defer cancel()
	c.turn = c.phone.turns.enter(ctx)
	session, err := c.newSession(ctx, false)
	if err != nil {
		c.fail(signaling.ReasonMediaFailed, err)
		return
	}
	c.adoptSession(session)
	if err := c.ring(ctx); err != nil {
		c.fail(reasonFor(err), err)
		return
	}
	switch {
	case c.crossed:
		c.acceptCrossed()
	case c.automatic:
		if err := c.accept(false); err != nil {
			c.fail(reasonFor(err), err)
		}
	}
}

// ring says that the phone rings. A stranger learns no more than that: our
// addresses are in the session description, which then goes with accept.
func (c *call) ring(ctx context.Context) error {
	var answer signaling.Answer
	if !c.strange() {
		var err error
		if answer, err = c.answer(ctx); err != nil {
			return err
		}
	}
	if err := c.signal.Ringing(answer); err != nil {
		return err
	}
	c.update(func(rec *Call) { rec.Rung = time.Now(); rec.Ring = rec.Rung.Sub(rec.Started) })
	now := c.snapshot()
	c.log.Info("it rings", "from", now.Remote.Name, "stranger", now.Remote.Stranger)
	return nil
}

// answer makes what we show of ourselves to the caller.
func (c *call) answer(ctx context.Context) (a signaling.Answer, err error) {
	offer := c.signal.Offer().SDP
	if err = c.checkFingerprint(offer); err != nil {
		return a, err
	}
	if a.SDP, err = c.session.Answer(ctx, offer); err != nil {
		return a, err
	}
	c.described = true
	a.Certificate = c.phone.certificate()
	a.Binding, err = c.phone.bind(c.wireID, roleCallee, c.session, c.device)
	return a, err
}

// accept opens the sound device and accepts. When the device does not open,
// nothing has happened: the call still rings, and the user may free the device
// and answer again. With take another call that has the device is put on hold.
func (c *call) accept(take bool) error {
	if c.accepted || c.over || !c.ringsHere() {
		return ErrWrongState
	}
	now := time.Now()
	if err := c.pickUp(take); err != nil {
		return err
	}
	if err := c.acceptAt(now); err != nil {
		c.fail(reasonFor(err), err)
		return err
	}
	return nil
}

func (c *call) acceptAt(now time.Time) (err error) {
	var answer signaling.Answer
	if !c.described {
		ctx, cancel := context.WithTimeout(c.phone.ctx, reachTimeout)
		defer cancel()
		if answer, err = c.answer(ctx); err != nil {
			return err
		}
	}
	if err := c.signal.Accept(answer); err != nil {
		return err
	}
	return c.startSound(now)
}

// acceptedThere is the caller's side of accept. Its sound device has no second
// chance: the callee talks already.
func (c *call) acceptedThere(a signaling.Answer) {
	now := time.Now()
	if err := c.heed(a); err != nil {
		c.fail(reasonFor(err), err)
		return
	}
	err := c.pickUp(true)
	if err == nil {
		err = c.startSound(now)
	}
	if err != nil {
		c.fail(signaling.ReasonMediaFailed, err)
	}
}

// reasonFor names the end reason that an error of ours leads to.
func reasonFor(err error) signaling.EndReason {
	switch {
	case errors.Is(err, node.ErrNotFound):
		return signaling.ReasonNotFound
	case errors.Is(err, node.ErrUnreachable), errors.Is(err, context.DeadlineExceeded):
		return signaling.ReasonUnreachable
	case errors.Is(err, errBadBinding), errors.Is(err, media.ErrFingerprint):
		return signaling.ReasonBadFingerprint
	case errors.Is(err, errBadIdentity), errors.Is(err, node.ErrRevoked), errors.Is(err, identity.ErrRevoked):
		return signaling.ReasonBadIdentity
	case errors.Is(err, errGaveWay):
		return signaling.ReasonGlare
	case errors.Is(err, media.ErrBadSDP), errors.Is(err, media.ErrBadCandidate):
		return signaling.ReasonProtocolError
	case errors.Is(err, signaling.ErrBusy), errors.Is(err, audio.ErrBusy), errors.Is(err, ErrTooManyCalls):
		return signaling.ReasonBusy
	case errors.Is(err, node.ErrClosed), errors.Is(err, signaling.ErrClosed),
		errors.Is(err, ErrClosed), errors.Is(err, context.Canceled):
		return signaling.ReasonShutdown
	case errors.Is(err, media.ErrPathFailed), errors.Is(err, ErrSoundDevice), errors.Is(err, ErrNoEncoder):
		return signaling.ReasonMediaFailed
	default:
		return signaling.ReasonInternal
	}
}
