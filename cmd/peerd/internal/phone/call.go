package phone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/media"
	"github.com/peerd/peerd/node"
	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/signaling"
)

// crossingWait is how long a call that lost against the other end's call to us
// (glare) waits for that one.
const crossingWait = 10 * time.Second

// callStream fits a node's stream to signaling.
type callStream struct{ node.Stream }

// Peer implements signaling.Stream.
func (s callStream) Peer() string { return s.Device().String() }

// call is one call. Its goroutine, run, owns everything but the record; others
// ask it by do.
type call struct {
	phone    *Phone
	id       string // for the user
	log      *slog.Logger
	requests chan func()   // run by the owner
	done     chan struct{} // closed when nothing of the call is left

	link     identity.Link      // outgoing: whom we call
	account  identity.AccountID // of the other end, once verified
	device   identity.DeviceID  // of the other end, once connected
	name     string             // of that device, by its certificate
	wireID   string             // the protocol's call id; another than id after glare
	giveUp   context.CancelFunc // outgoing: stops reach
	reaching <-chan reached     // outgoing: where reach answers; nil before and after

	signal  *signaling.Call
	signals <-chan signaling.Event // nil when there are no more
	session *media.Session
	medias  <-chan media.Event // nil when there are no more
	handset *handset           // written under mu

	automatic bool                   // incoming: accepted without asking; never changes once registered
	verified  bool                   // certificate and binding of the other end are good
	bound     fingerprint            // what the other end's binding speaks for
	described bool                   // both session descriptions are set
	crossed   bool                   // this outgoing call became the other end's call to us
	yielded   <-chan signaling.Event // of the call that gave way to it; nil when there are no more
	crossing  <-chan time.Time
	accepted  bool
	pathSeen  bool        // the path was up once
	answered  time.Time   // the moment answer_to_audio counts from
	pulse     <-chan bool // whether the other end's device answers; nil when it is not being asked
	turn      func()      // gives back the turn to be set up
	failed    bool        // the reason for the end is in the log
	over      bool

	mu      sync.Mutex
	rec     Call           // guarded by mu, as all below; its Direction never changes
	public  bool           // watchers may see it
	flowing bool           // media may flow
	live    *media.Session // session, for its figures; nil until the path is up
}

func (p *Phone) newCall(id string, d Direction, remote Remote) *call {
	c := &call{
		phone: p, id: id, wireID: id,
		log:      p.log.With("call", id[:8]),
		requests: make(chan func()),
		done:     make(chan struct{}),
		handset:  p.card.handset(),
		turn:     func() {},
		rec:      Call{ID: id, Direction: d, State: StateDialing, Remote: remote, Started: time.Now()},
	}
	if d == Incoming {
		c.rec.State = StateRinging
	}
	return c
}

// run owns the call from its first step to its end.
func (c *call) run(first func()) {
	first()
	pulse := time.NewTicker(pulseEvery)
	defer pulse.Stop()
	for !c.over {
		select {
		case <-pulse.C:
			c.feelPulse()
		case alive := <-c.pulse:
			if c.pulse = nil; !alive && c.unheard() {
				c.log.Info("the other end does not answer any more", "asked_for", pulseLimit)
				c.end(signaling.ReasonLost)
			}
		case f := <-c.requests:
			f()
		case r := <-c.reaching:
			c.place(r)
		case ev, more := <-c.signals:
			if !more {
				c.signals = nil
				continue
			}
			c.onSignal(ev)
		case ev, more := <-c.medias:
			if !more {
				c.medias = nil
				continue
			}
			c.onMedia(ev)
		case <-c.handset.parked:
			c.report(c.hold(true), "hold for another call")
		case _, more := <-c.yielded:
			if !more {
				c.yielded = nil
				c.acceptCrossed()
			}
		case <-c.crossing:
			c.finish(signaling.ReasonGlare, true, "")
		}
	}
	c.leave()
}

// do runs f in the call's goroutine and returns its answer.
func (c *call) do(f func() error) error {
	answer := make(chan error, 1)
	select {
	case c.requests <- func() { answer <- f() }:
		return <-answer
	case <-c.done:
		return fmt.Errorf("%w: it is over", ErrWrongState)
	}
}

// onSignal takes what the call protocol tells.
func (c *call) onSignal(ev signaling.Event) {
	switch ev := ev.(type) {
	case signaling.RemoteRinging:
		if err := c.heed(ev.Answer); err != nil {
			c.fail(reasonFor(err), err)
			return
		}
		c.update(func(rec *Call) { rec.Rung = time.Now(); rec.Ring = rec.Rung.Sub(rec.Started) })
	case signaling.RemoteAccepted:
		c.acceptedThere(ev.Answer)
	case signaling.RemoteCandidate:
		if c.session != nil {
			c.report(c.session.AddCandidate(ev.Candidate), "candidate of the other end")
		}
	case signaling.RemoteHold:
		c.update(func(rec *Call) { rec.RemoteHeld = ev.Held })
	case signaling.SASReady:
		c.update(func(rec *Call) { rec.SAS = c.phone.sasWords(ev.SAS) })
	case signaling.Start:
		c.update(func(*Call) { c.flowing = true })
	case signaling.Stopping:
		c.update(func(rec *Call) { rec.Ended = time.Now() })
		c.stopMedia()
	case signaling.Ended:
		c.onEnded(ev)
	}
}

func (c *call) onEnded(ev signaling.Ended) {
	if ev.Reason == signaling.ReasonGlare && c.rec.Direction == Outgoing && !c.crossed {
		c.stopMedia()
		c.crossing = time.After(crossingWait)
		return
	}
	if ev.Reason == signaling.ReasonLost && c.signal.Role() == signaling.Caller && c.facts().Rung.IsZero() {
		ev.Reason = signaling.ReasonUnreachable // the device went away before it could ring
	}
	c.finish(ev.Reason, ev.Remote, ev.Detail)
}

// onMedia takes what the media session tells.
func (c *call) onMedia(ev media.Event) {
	switch ev := ev.(type) {
	case media.Candidate:
		c.report(c.signal.SendCandidate(ev.Data), "candidate of this end")
	case media.PathUp:
		c.pathSeen = true
		c.turn()
		c.signal.PathUp()
		c.update(func(rec *Call) { c.live, rec.Path = c.session, c.session.Path().Kind() })
		c.log.Debug("media path up", "since_dial", time.Since(c.rec.Started))
	case media.PathLost:
		c.log.Info("media path lost")
		c.signal.PathLost()
	case media.PathClosed:
		c.onPathClosed(ev.Err)
	case media.FirstSound:
		after := time.Since(c.answered)
		c.update(func(rec *Call) { rec.AnswerToAudio = after })
	case media.DTMF:
		c.update(func(rec *Call) { rec.Digits += string(ev.Digit) })
		now := c.snapshot()
		c.phone.hub.publish(Event{Type: EventDTMF, Call: &now, Digit: string(ev.Digit)})
	}
}

func (c *call) onPathClosed(err error) {
	switch {
	case errors.Is(err, media.ErrFingerprint):
		c.fail(signaling.ReasonBadFingerprint, err)
	case !c.pathSeen:
		c.fail(signaling.ReasonMediaFailed, err)
	default:
		c.signal.PathClosed()
	}
}

func (c *call) adoptSignal(s *signaling.Call) { c.signal, c.signals, c.wireID = s, s.Events(), s.ID() }

func (c *call) adoptSession(s *media.Session) {
	c.session, c.medias = s, s.Events()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Mute(c.rec.Muted)
}

// newSession prepares the media of the call, with the relays we have.
func (c *call) newSession(ctx context.Context, offerer bool) (*media.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, grantWait)
	defer cancel()
	grants, err := c.phone.node.Relays(ctx)
	c.report(err, "relays")
	cfg := media.SessionConfig{
		Offerer: offerer, Echo: c.echoes(), Log: c.log,
		Encoder: c.phone.cfg.Encoder, Decoder: c.decoder,
	}
	for _, g := range grants {
		cfg.ICEServers = append(cfg.ICEServers,
			media.ICEServer{URLs: append(slices.Clone(g.STUN), g.TURN...), Username: g.Username, Password: g.Password})
	}
	return c.phone.engine.NewSession(cfg)
}

// decoder is asked for when sound begins: whether the other end is a stranger
// is decided then.
func (c *call) decoder() (audio.Decoder, error) {
	if c.strange() {
		return c.phone.cfg.StrangerDecoder()
	}
	return c.phone.cfg.Decoder()
}

// pickUp makes sure of the sound device and of the encoder.
func (c *call) pickUp(take bool) error {
	switch {
	case c.echoes():
		return nil
	case c.phone.cfg.Encoder == nil:
		return ErrNoEncoder
	}
	return c.phone.card.pickUp(c.handset, take)
}

// startSound lets media flow; since is when the call was accepted.
func (c *call) startSound(since time.Time) error {
	var device audio.Device
	if !c.echoes() {
		device = c.handset
	}
	c.accepted, c.answered = true, since
	if err := c.session.Start(device); err != nil {
		return err
	}
	strange := c.strange()
	c.update(func(rec *Call) { rec.Answered, rec.Remote.Stranger = since, strange })
	c.phone.remember(c)
	c.save()
	return nil
}

// echoes reports whether this call sends back what it hears.
func (c *call) echoes() bool {
	return c.rec.Direction == Incoming && c.phone.cfg.Answer == AnswerEcho
}

// ringsHere reports whether there is something to accept.
func (c *call) ringsHere() bool {
	return c.signal != nil && c.signal.Role() == signaling.Callee && c.session != nil
}

// end ends the call for a reason of ours; the last word is the peer's answer.
func (c *call) end(reason signaling.EndReason) {
	if c.over {
		return
	}
	if c.signals == nil || c.crossing != nil {
		c.finish(reason, false, "")
		return
	}
	if err := c.signal.End(reason); err != nil {
		c.log.Debug("the call ends already", "err", err)
	}
}

// fail ends the call because of err, with one line in the log.
func (c *call) fail(reason signaling.EndReason, err error) {
	if c.failed {
		return
	}
	c.failed = true
	c.log.Warn("call failed", "reason", string(reason), "device", c.device, "err", err)
	c.update(func(rec *Call) { rec.Error = err.Error() })
	c.end(reason)
}

// report logs an error that costs no more than what it was about.
func (c *call) report(err error, what string) {
	if err != nil {
		c.log.Debug("call goes on without", "what", what, "err", err)
	}
}

func (c *call) stopMedia() {
	last := c.snapshot()
	c.mu.Lock()
	last.Stats.Chain = nil
	c.rec.Stats, c.rec.Path, c.live = last.Stats, last.Path, nil
	c.mu.Unlock()
	if c.session != nil {
		c.report(c.session.Close(), "close of the media session")
	}
	c.session, c.medias = nil, nil
	c.report(c.handset.Close(), "close of the sound device")
}

// finish writes down how the call ended; run then leaves.
func (c *call) finish(reason signaling.EndReason, remote bool, detail string) {
	c.stopMedia()
	c.over = true
	by := "local"
	if remote {
		by = "remote"
	}
	c.update(func(rec *Call) {
		if rec.Ended.IsZero() {
			rec.Ended = time.Now()
		}
		if rec.Answered.IsZero() { // nothing was said over the path, and nobody compared words
			rec.Path, rec.SAS = "", nil
		} else {
			rec.Duration = rec.Ended.Sub(rec.Answered)
		}
		if rec.Error == "" {
			rec.Error = detail
		}
		rec.EndReason, rec.EndedBy = string(reason), by
	})
	last := c.snapshot()
	level := slog.LevelInfo
	if c.failed {
		level = slog.LevelDebug // the line that says why stands in the log already
	}
	c.log.Log(c.phone.ctx, level, "call over", "with", last.Remote.Name, "reason", string(reason),
		"by", by, "detail", detail, "lasted", last.Duration)
}

// leave gives back what the call still holds.
func (c *call) leave() {
	if c.giveUp != nil {
		c.giveUp()
	}
	if c.reaching != nil {
		reaching := c.reaching
		c.phone.wg.Go(func() { (<-reaching).discard() })
	}
	c.turn()
	c.phone.drain(c.signals)
	c.phone.drain(c.yielded)
	c.save()
	close(c.done)
	c.phone.wg.Done()
}
