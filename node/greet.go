package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/overlay"
	"github.com/peerd/peerd/node/presence"
	"github.com/peerd/peerd/node/relay"
)

const (
	greetLimit   = 5 * time.Second
	goodbyeLimit = time.Second
	// lookAgainEvery bounds what a device that its account does not list can make us do.
	lookAgainEvery = time.Minute
)

// errStranger: the account that greets is not among the contacts.
var errStranger = errors.New("not a contact")

// tell gives a contact's device our records and learns its own.
func (n *Node) tell(ctx context.Context, device identity.DeviceID) error {
	msg, seq, err := n.ownMessage(false)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, greetLimit)
	defer cancel()
	s, err := n.over.Host().NewStream(network.WithAllowLimitedConn(ctx, "presence"), device, overlay.MemberProtocol)
	if err != nil {
		return err
	}
	defer func() { _ = s.Reset() }()
	_ = s.SetDeadline(time.Now().Add(greetLimit))
	if err = overlay.WriteFrame(s, msg); err != nil {
		return err
	}
	_ = s.CloseWrite()
	n.contacts.mu.Lock()
	n.contacts.told[device] = seq
	n.contacts.mu.Unlock()
	answer, err := overlay.ReadFrame(s, maxMessageBytes)
	if err != nil {
		return fmt.Errorf("answer of %s: %w", device.ShortString(), err)
	}
	g, err := parseMessage(answer)
	if err == nil && !g.stranger {
		err = n.learn(device, g)
	}
	n.refuse(device.String(), err)
	return err
}

// servePresence answers a greeting with our own records, if a contact sent it.
func (n *Node) servePresence(s network.Stream) {
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(greetLimit))
	device := s.Conn().RemotePeer()
	data, err := overlay.ReadFrame(s, maxMessageBytes)
	var g greeting
	if err == nil {
		g, err = parseMessage(data)
	}
	if err == nil {
		err = n.learn(device, g)
	}
	var answer []byte
	var seq uint64
	switch {
	case err == nil && !g.goodbye:
		answer, seq, err = n.ownMessage(false)
	case errors.Is(err, errStranger):
		answer, err = json.Marshal(presenceMessage{Version: messageVersion})
	}
	n.refuse(device.String(), err)
	if len(answer) == 0 {
		return
	}
	if overlay.WriteFrame(s, answer) == nil && seq != 0 {
		n.contacts.mu.Lock()
		n.contacts.told[device] = seq
		n.contacts.mu.Unlock()
	}
}

// learn verifies a greeting that an authenticated device sent and enters it in
// the contacts book.
func (n *Node) learn(device identity.DeviceID, g greeting) error {
	if g.stranger {
		return errStranger
	}
	now := n.now()
	if err := g.cert.VerifyFor(device, now); err != nil {
		return err
	}
	if g.cert.Account != g.account {
		return identity.ErrForeignCertificate
	}
	// Asked last: who is among our contacts is nobody's business but theirs.
	link, ok := n.book.link(g.account)
	if !ok {
		return errStranger
	}
	if g.goodbye {
		n.parted(g.account, device)
		return nil
	}
	if len(g.records.account) > 0 {
		a, err := presence.OpenAccount(g.records.account, link, now)
		if err != nil {
			return err
		}
		if err := n.book.learnAccount(g.account, a); err != nil && !errors.Is(err, presence.ErrReplayed) {
			return err
		}
	}
	p, err := presence.OpenPresence(g.records.presence, link, device, now)
	if err != nil {
		return err
	}
	err = n.book.learnPresence(g.cert, p)
	if errors.Is(err, ErrUnlisted) && n.lookAgain(link) {
		err = n.book.learnPresence(g.cert, p)
	}
	if err != nil {
		return err
	}
	n.met(Peer{Device: device, Certificate: g.cert})
	return nil
}

// lookAgain looks for an account record newer than the one we hold, but not
// often, and reports whether there is one: a device may be newer than ours.
func (n *Node) lookAgain(link identity.Link) bool {
	if !n.contacts.mayLookAgain(link.Account, n.now()) {
		return false
	}
	ctx, cancel := context.WithTimeout(n.ctx, greetLimit/2) // the greeting is still to be answered
	defer cancel()
	r := &race{n: n, ctx: ctx, link: link}
	_, err := r.account(newestOf)
	return err == nil
}

// mayLookAgain allows it once in lookAgainEvery for each contact.
func (c *contacts) mayLookAgain(account identity.AccountID, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, ever := c.looked[account]; ever && now.Sub(last) < lookAgainEvery {
		return false
	}
	c.looked[account] = now
	return true
}

// sayGoodbye tells the connected contacts that we leave, so that they need not
// find out.
func (n *Node) sayGoodbye() {
	if n.over == nil {
		return
	}
	msg, _, err := n.ownMessage(true)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(network.WithNoDial(context.Background(), "goodbye"), goodbyeLimit)
	defer cancel()
	var wg sync.WaitGroup
	for device := range n.contactDevices() {
		if !n.isConnected(device) {
			continue
		}
		wg.Go(func() {
			s, err := n.over.Host().NewStream(network.WithAllowLimitedConn(ctx, "goodbye"), device, overlay.MemberProtocol)
			if err != nil {
				return
			}
			defer s.Close()
			_ = s.SetDeadline(time.Now().Add(goodbyeLimit))
			if overlay.WriteFrame(s, msg) == nil {
				_ = s.CloseWrite()
				_, _ = overlay.ReadFrame(s, maxMessageBytes) // returns when the other end has read it
			}
		})
	}
	wg.Wait()
}

// refusals remembers what was refused, so that each thing is logged once.
type refusals struct {
	mu   sync.Mutex
	seen map[string]bool
}

const maxRefusals = 1024

// refuse logs why something was refused, once per source (a device, or a key of the DHT)
// and reason.
func (n *Node) refuse(source string, err error) {
	if err == nil || errors.Is(err, errStranger) {
		return
	}
	reason := refusalReason(err)
	if reason == "" {
		n.cfg.Log.Debug("exchange ended", "source", source, "err", err)
		return
	}
	r := &n.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil || len(r.seen) >= maxRefusals {
		r.seen = make(map[string]bool)
	}
	if key := source + reason; !r.seen[key] {
		r.seen[key] = true
		n.cfg.Log.Warn("message refused", "source", source, "reason", reason, "err", err)
	}
}

// refusalReason names what is wrong with a record or message, "" when nothing is:
// a broken stream is no one's fault.
func refusalReason(err error) string {
	for _, reason := range []error{
		presence.ErrExpired, presence.ErrReplayed, presence.ErrBadSignature, presence.ErrBadSeal,
		presence.ErrTooLarge, presence.ErrMalformed, presence.ErrWrongKey, presence.ErrNewerVersion,
		identity.ErrForgedCertificate, identity.ErrForeignCertificate, identity.ErrExpiredCertificate,
		ErrRevoked, identity.ErrRevoked, errMessage, overlay.ErrFrameTooLarge,
		relay.ErrBadMessage, relay.ErrNewerVersion,
	} {
		if errors.Is(err, reason) {
			return reason.Error()
		}
	}
	return ""
}
