package localapi

import (
	"fmt"

	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

// verb is something that can be done to a call, and the calls that it fits:
// what OnlyCall chooses from.
type verb struct {
	name string
	do   func(Phone, string) error
	fits func(phone.Call) bool
}

var (
	answer = verb{"answer", Phone.Answer, ringsHere}
	reject = verb{"reject", Phone.Reject, ringsHere}
	hangup = verb{"hang up", Phone.Hangup, phone.Call.Live}
	hold   = verb{"hold", Phone.Hold, func(c phone.Call) bool { return accepted(c) && !c.Held }}
	resume = verb{"resume", Phone.Resume, func(c phone.Call) bool { return accepted(c) && c.Held }}
	mute   = verb{"mute", Phone.Mute, func(c phone.Call) bool { return c.Live() && !c.Muted }}
	unmute = verb{"unmute", Phone.Unmute, func(c phone.Call) bool { return c.Live() && c.Muted }}
	dtmf   = verb{"send digits into", nil, accepted}
)

func ringsHere(c phone.Call) bool {
	return c.Direction == phone.Incoming && c.State == phone.StateRinging
}

func accepted(c phone.Call) bool { return c.Live() && !c.Answered.IsZero() }

// pick returns the whole id of the call that is meant: the one whose id begins
// so or, for OnlyCall, the only one that the verb fits.
func (s *Server) pick(id string, v verb) (string, error) {
	if id != OnlyCall {
		c, err := s.phone.Call(id)
		return c.ID, err
	}
	var found []string
	for _, c := range s.phone.Calls() {
		if v.fits(c) {
			found = append(found, c.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%s: %w", v.name, phone.ErrNoFittingCall)
	case 1:
		return found[0], nil
	default:
		return "", fmt.Errorf("%s: %w", v.name, phone.ErrAmbiguousCall)
	}
}
