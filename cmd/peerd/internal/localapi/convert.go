package localapi

import (
	"math"
	"strings"
	"time"

	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

// convert translates a list; an empty one stays a list in JSON.
func convert[A, B any](in []A, f func(A) B) []B {
	out := make([]B, 0, len(in))
	for _, a := range in {
		out = append(out, f(a))
	}
	return out
}

func (s *Server) status(st phone.Status) Status {
	return Status{
		State: st.State, Alone: st.Alone, Account: st.Account, Device: st.Device, Name: st.Name,
		Addresses: list(st.Addresses), Reachable: st.Reachable,
		Overlay: Overlay(st.Overlay),
		Login: Login{
			Published: st.Login.Published, Acks: st.Login.Acks, TookMS: st.Login.Took.Milliseconds(),
			Missing: convert(st.Login.Missing, func(m phone.Missing) Missing { return Missing(m) }),
		},
		Answer: string(st.Answer), Audio: st.AudioDevice, Encoder: st.Encoder, MediaPort: st.MediaPort,
		Calls: st.LiveCalls, Version: s.version, UptimeS: seconds(time.Since(st.Started)),
	}
}

func contact(c phone.Contact) Contact {
	return Contact{
		Name: c.Name, Account: c.Account, Link: c.Link, Blocked: c.Blocked, Added: c.Added,
		Presence: Presence{State: c.Presence, Evidence: moment(c.Evidence), SignedOff: c.SignedOff},
		Devices:  list(c.Devices),
	}
}

func call(c phone.Call) Call {
	return Call{
		ID: c.ID, Direction: string(c.Direction), State: string(c.State), Remote: remote(c.Remote),
		Started: c.Started, Answered: moment(c.Answered), Ended: moment(c.Ended),
		Outcome: outcome(c), EndReason: c.EndReason, EndedBy: c.EndedBy, Error: c.Error,
		LookupMS: measured(c.Lookup), RingMS: measured(c.Ring), AnswerToAudioMS: measured(c.AnswerToAudio),
		DurationS: seconds(c.Duration),
		Path:      c.Path, Held: c.Held, RemoteHeld: c.RemoteHeld, Muted: c.Muted, Digits: c.Digits,
		SAS: list(c.SAS), Words: strings.Join(c.SAS, " "), Stats: stats(c.Stats),
	}
}

func remote(r phone.Remote) Remote {
	return Remote{Name: r.Name, Account: r.Account, Device: r.Device, Stranger: r.Stranger}
}

// outcome puts the reasons that a call can end for into a few classes that a
// person asks for.
func outcome(c phone.Call) string {
	switch {
	case c.Live():
		return ""
	case !c.Answered.IsZero():
		return OutcomeAnswered
	}
	switch c.EndReason {
	case "busy":
		return OutcomeBusy
	case "declined":
		return OutcomeDeclined
	case "no_answer":
		return OutcomeNoAnswer
	case "not_found":
		return OutcomeNotFound
	case "unreachable":
		return OutcomeUnreachable
	case "cancelled", "hangup", "shutdown":
		return OutcomeCancelled
	default:
		return OutcomeFailed
	}
}

func stats(s phone.Stats) Stats {
	return Stats{
		PacketsSent: s.PacketsSent, PacketsReceived: s.PacketsReceived,
		PacketsLost: s.PacketsLost, PacketsLate: s.PacketsLate,
		BytesSent: s.BytesSent, BytesReceived: s.BytesReceived,
		ConcealedRatio: s.ConcealedRatio, PlayoutDelayMS: millis(s.PlayoutDelay),
		JitterMS: millis(s.Jitter), RTTMS: millis(s.RTT),
		Underruns: s.Underruns, LateFrames: s.LateFrames, Chain: list(s.Chain),
	}
}

func accountDevice(d phone.AccountDevice) AccountDevice {
	return AccountDevice{
		Device: d.ID, Name: d.Name, This: d.This, Revoked: d.Revoked,
		Serial: d.Serial, Issued: d.Issued, Expires: d.Expires,
	}
}

func audioDevice(d phone.AudioDevice) AudioDevice { return AudioDevice(d) }

// list keeps null out of the JSON.
func list(in []string) []string {
	if in == nil {
		return []string{}
	}
	return in
}

// moment is null for a time that has not come.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// measured is null for a duration that was not measured.
func measured(d time.Duration) *float64 {
	if d == 0 {
		return nil
	}
	ms := millis(d)
	return &ms
}

func millis(d time.Duration) float64 { return math.Round(float64(d.Microseconds())/100) / 10 }

func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }
