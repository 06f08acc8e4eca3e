package phone

import (
	"time"

	"github.com/peerd/peerd/node"
)

// Status is the present state.
func (p *Phone) Status() Status { return p.statusWith(p.node.Status()) }

func (p *Phone) statusWith(n node.Status) Status {
	id := p.cfg.Identity
	s := Status{
		State: string(n.State), Alone: n.Alone,
		Name: id.Name(), Account: id.Account().String(), Device: id.Device().String(),
		Addresses: n.Addresses,
		Overlay:   OverlayStatus(n.Overlay),
		Login: LoginStatus{
			Published: n.Login.Published, Acks: n.Login.Acks,
			Took: time.Duration(n.Login.TookMS) * time.Millisecond,
		},
		Reachable: string(n.Reachable),
		Answer:    p.cfg.Answer,
		Encoder:   p.cfg.Encoder != nil,
		MediaPort: p.engine.Port(),
		LiveCalls: p.liveCalls(),
		Started:   p.started,
	}
	if p.cfg.Device != nil {
		s.AudioDevice = p.cfg.Device.Name()
	}
	for _, m := range n.Login.Missing {
		s.Login.Missing = append(s.Login.Missing, Missing{What: m.What, Since: m.Since, Why: m.Why})
	}
	return s
}

// watchNode turns the node's events into ours until the node closes.
func (p *Phone) watchNode(changes <-chan node.Event) {
	for e := range changes {
		switch {
		case e.Status != nil:
			s := p.statusWith(*e.Status)
			p.hub.publish(Event{Type: EventStatus, Status: &s})
		case e.Presence != nil:
			if known, ok := p.contactOf(e.Presence.Account); ok {
				c := p.describe(known, e.Presence.Presence)
				p.hub.publish(Event{Type: EventContact, Contact: &c})
			}
		}
	}
}
