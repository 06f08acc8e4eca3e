package phone

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/peerd/peerd/cmd/peerd/internal/store"
)

// diskBacklog is how many writes may wait for the disk before calls do.
const diskBacklog = 4096

// writeDisk performs writes one after another, so that no call waits for the
// disk. It is owned by Open and ends when p.disk is closed.
func (p *Phone) writeDisk() {
	defer close(p.diskDone)
	for write := range p.disk {
		if err := write(); err != nil {
			p.log.Error("store", "err", err)
		}
	}
}

// details is what the store keeps of a call beside its own fields, as JSON.
type details struct {
	LookupUS  int64    `json:"lookup_us,omitempty"`
	RingUS    int64    `json:"ring_us,omitempty"`
	AudioUS   int64    `json:"answer_to_audio_us,omitempty"`
	Stranger  bool     `json:"stranger,omitempty"`
	SAS       []string `json:"sas,omitempty"`
	EndedBy   string   `json:"ended_by,omitempty"`
	Error     string   `json:"error,omitempty"`
	Sent      uint64   `json:"packets_sent,omitempty"`
	Received  uint64   `json:"packets_received,omitempty"`
	Lost      uint64   `json:"packets_lost,omitempty"`
	Late      uint64   `json:"packets_late,omitempty"`
	BytesOut  uint64   `json:"bytes_sent,omitempty"`
	BytesIn   uint64   `json:"bytes_received,omitempty"`
	Concealed float64  `json:"concealed_ratio,omitempty"`
	PlayoutUS int64    `json:"playout_delay_us,omitempty"`
	JitterUS  int64    `json:"jitter_us,omitempty"`
	RTTUS     int64    `json:"rtt_us,omitempty"`
	Underruns uint64   `json:"underruns,omitempty"`
	LateOut   uint64   `json:"late_frames,omitempty"`
}

// maxErrorText bounds the sentence kept with a call, in bytes.
const maxErrorText = 400

// toStore turns a record into what the store keeps.
func toStore(c Call) (store.Call, error) {
	s := c.Stats
	if c.Live() {
		c.Ended = time.Time{} // it may be ending
	}
	extra, err := json.Marshal(details{
		LookupUS: c.Lookup.Microseconds(), RingUS: c.Ring.Microseconds(), AudioUS: c.AnswerToAudio.Microseconds(),
		Stranger: c.Remote.Stranger, SAS: c.SAS, EndedBy: c.EndedBy, Error: c.Error[:min(len(c.Error), maxErrorText)],
		Sent: s.PacketsSent, Received: s.PacketsReceived, Lost: s.PacketsLost, Late: s.PacketsLate,
		BytesOut: s.BytesSent, BytesIn: s.BytesReceived, Concealed: s.ConcealedRatio,
		PlayoutUS: s.PlayoutDelay.Microseconds(), JitterUS: s.Jitter.Microseconds(), RTTUS: s.RTT.Microseconds(),
		Underruns: s.Underruns, LateOut: s.LateFrames,
	})
	return store.Call{
		ID: c.ID, Direction: store.Direction(c.Direction),
		Account: c.Remote.Account, Device: c.Remote.Device, Name: c.Remote.Name,
		Started: stamp(c.Started), Ringing: stamp(c.Rung), Answered: stamp(c.Answered), Ended: stamp(c.Ended),
		Reason: c.EndReason, Path: c.Path, Stats: extra,
	}, err
}

// fromStore is the reverse. What a later version wrote beside is left out.
func fromStore(s store.Call) Call {
	var d details
	_ = json.Unmarshal(s.Stats, &d) // without details the call itself is still worth showing
	c := Call{
		ID: s.ID, Direction: Direction(s.Direction), State: StateEnded,
		Remote:  Remote{Account: s.Account, Device: s.Device, Name: s.Name, Stranger: d.Stranger},
		Started: unstamp(s.Started), Rung: unstamp(s.Ringing), Answered: unstamp(s.Answered), Ended: unstamp(s.Ended),
		Lookup: micros(d.LookupUS), Ring: micros(d.RingUS), AnswerToAudio: micros(d.AudioUS),
		Path: s.Path, SAS: d.SAS, EndReason: s.Reason, EndedBy: d.EndedBy, Error: d.Error,
		Stats: Stats{
			PacketsSent: d.Sent, PacketsReceived: d.Received, PacketsLost: d.Lost, PacketsLate: d.Late,
			BytesSent: d.BytesOut, BytesReceived: d.BytesIn, ConcealedRatio: d.Concealed,
			PlayoutDelay: micros(d.PlayoutUS), Jitter: micros(d.JitterUS), RTT: micros(d.RTTUS),
			Underruns: d.Underruns, LateFrames: d.LateOut,
		},
	}
	if !c.Answered.IsZero() {
		c.Duration = c.Ended.Sub(c.Answered)
	}
	return c
}

func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func unstamp(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

// save writes the call as it is now. A call whose end is written has nothing
// left outside the history.
func (c *call) save() {
	c.phone.disk <- func() error {
		now := c.snapshot()
		entry, err := toStore(now)
		if err == nil {
			err = c.phone.store.PutCall(entry)
		}
		if !now.Live() {
			c.phone.forget(c)
		}
		return err
	}
}

// remember notes that the device of an accepted call belongs to its contact.
func (p *Phone) remember(c *call) {
	account, device, name := c.account, c.device, c.name
	p.disk <- func() error {
		isNew, err := p.store.SawDevice(account, device, name, time.Now())
		if errors.Is(err, store.ErrNotFound) {
			return nil // a stranger leaves nothing behind
		}
		if err == nil && isNew {
			err = p.loadBook()
		}
		return err
	}
}

// Calls lists live calls and history, newest first.
func (p *Phone) Calls() []Call {
	calls := p.present()
	past, err := p.store.Calls(0)
	if err != nil {
		p.log.Error("read the call history", "err", err)
	}
	for _, s := range past {
		if !slices.ContainsFunc(calls, func(c Call) bool { return c.ID == s.ID }) {
			calls = append(calls, fromStore(s))
		}
	}
	slices.SortStableFunc(calls, func(a, b Call) int { return b.Started.Compare(a.Started) })
	return calls
}

// Call returns one call, live or from history. A unique prefix of the id will do.
func (p *Phone) Call(id string) (Call, error) {
	if s, err := p.store.Call(id); err == nil && s.Ended != 0 {
		return fromStore(s), nil
	}
	if c := p.found(id); c != nil {
		return c.snapshot(), nil
	}
	var found []Call
	for _, c := range p.Calls() {
		if id != "" && strings.HasPrefix(c.ID, id) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return Call{}, fmt.Errorf("call %q: %w", id, ErrNoSuchCall)
	case 1:
		return found[0], nil
	default:
		return Call{}, fmt.Errorf("call %q: %w", id, ErrAmbiguousCall)
	}
}
