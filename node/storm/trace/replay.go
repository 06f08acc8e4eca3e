package trace

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/peerd/peerd/node/storm"
)

// Lab is where a trace is replayed: the policy's parts of one of its nodes.
type Lab[P comparable] struct {
	Joiner *storm.Joiner[P]
	Gate   *storm.Gate[P]
	Role   *storm.Role
	// Peer is the lab's peer for a number: another one for each, and never P's zero.
	Peer func(number uint32) P
	// Until moves the lab's clock on to a moment of the trace; earlier ones are no
	// matter.
	Until func(storm.Moment)
}

// Report says what came out of a replay.
type Report struct {
	// Same: all decisions are the same, byte for byte.
	Same    bool `json:"same"`
	Entries int  `json:"entries"` // replayed
	// Span is the time from the first to the last of them, in seconds.
	Span float64 `json:"span_s"`
	// Decisions counts what was decided, by name.
	Decisions map[string]int `json:"decisions"`
	// Difference is the first one; the replay ends there.
	Difference *Difference `json:"difference,omitempty"`
}

// Difference is a line that comes out otherwise than it was recorded.
type Difference struct {
	Line     int    `json:"line"` // of the file, from 1
	Recorded string `json:"recorded"`
	Replayed string `json:"replayed"`
}

// Replay feeds a trace to a lab's policy, up to the first difference. It is recorded
// anew thereby, and what is compared are the lines of both traces. An error, which
// names the line, says that a file is no trace, or not whole.
func Replay[P comparable](in io.Reader, lab Lab[P]) (Report, error) {
	p := newPlayer(lab)
	report := Report{Decisions: make(map[string]int)}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		err := p.play(n, lines.Bytes(), &report)
		if err != nil {
			return report, fmt.Errorf("line %d: %w", n, err)
		}
		if report.Difference != nil {
			return report, nil
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return report, fmt.Errorf("%w: a line of more than %d bytes", ErrFormat, maxLine)
	case err != nil:
		return report, err
	case report.Entries == 0:
		return report, fmt.Errorf("%w: nothing in it", ErrFormat)
	}
	report.Same = true
	return report, nil
}

// player is a replay under way.
type player[P comparable] struct {
	Lab[P]
	joinerCfg storm.JoinerConfig // the defaults; then those of the joiner
	gateCfg   storm.GateConfig
	joins     bool // the joiner was started
	opened    bool // the gate was opened
	first     storm.Moment
	again     *Recorder[P]
	lines     bytes.Buffer // what it wrote
}

func newPlayer[P comparable](lab Lab[P]) *player[P] {
	p := &player[P]{Lab: lab}
	p.again = NewRecorder[P](&p.lines)
	return p
}

// play replays one line.
func (p *player[P]) play(n int, line []byte, report *Report) error {
	if n == 1 {
		return p.header(line)
	}
	if n > maxEntries+1 {
		return fmt.Errorf("%w: more than %d entries", ErrFormat, maxEntries)
	}
	var e entry
	if err := strict(line, &e); err != nil {
		return err
	}
	if err := e.check(); err != nil {
		return err
	}
	if n == 2 {
		p.first = e.At
	}
	p.Until(e.At)
	p.lines.Reset()
	if err := p.call(&e); err != nil {
		return err
	}
	if err := p.again.Err(); err != nil {
		return err
	}
	if got := bytes.TrimSuffix(p.lines.Bytes(), []byte("\n")); !bytes.Equal(got, line) {
		report.Difference = &Difference{Line: n, Recorded: string(line), Replayed: string(got)}
		return nil
	}
	report.Entries++
	report.Span = max(report.Span, (e.At - p.first).Seconds())
	for _, d := range e.Decided {
		report.Decisions[d.Do]++
	}
	return nil
}

func (p *player[P]) header(line []byte) error {
	var h header
	switch err := json.Unmarshal(line, &h); {
	case err != nil || h.Format != format:
		return fmt.Errorf("%w: it does not begin as one", ErrFormat)
	case h.Version != Version:
		return fmt.Errorf("%w: of version %d, and this program reads version %d", ErrFormat, h.Version, Version)
	}
	return nil
}

// strict decodes one JSON value that has no fields but those of v.
func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if d.More() {
		return fmt.Errorf("%w: more than one value", ErrFormat)
	}
	return nil
}

// check refuses what no recorder writes and the policy was not made for.
func (e *entry) check() error {
	for _, u := range e.Drawn {
		if u < 0 || u >= 1 {
			return fmt.Errorf("%w: random number %v", ErrFormat, u)
		}
	}
	a := e.Answer
	if e.At < 0 || e.Slot < 0 || e.Cost < 0 || (a != nil && (a.Slot < 0 || a.Delay < 0 || a.Uptime < 0 || a.Load < 0)) {
		return fmt.Errorf("%w: a time or load below 0", ErrFormat)
	}
	if a != nil && len(a.Refer) > storm.MaxReferrals {
		return fmt.Errorf("%w: %d referrals", ErrFormat, len(a.Refer))
	}
	return nil
}

// call makes the call that an entry tells of.
func (p *player[P]) call(e *entry) error {
	var class storm.Class
	if e.Class != nil {
		class = *e.Class
	}
	off, err := storm.Without(e.Without...)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if kind := slices.Index(eventNames(), e.Do); kind >= 0 {
		return p.step(storm.EventKind(kind), e)
	}
	switch e.Do {
	case doStart:
		return p.start(e, off)
	case doOpen:
		return p.open(e, off)
	case doSaw:
		p.again.Saw(e.At, p.Role, e.Refused)
		return nil
	case doPromote:
		p.again.Promote(e.At, p.Role, e.draw(), off)
		return nil
	}
	if !p.opened {
		return fmt.Errorf("%w: %q before the gate was opened", ErrFormat, e.Do)
	}
	switch e.Do {
	case doAsked:
		p.ask(e, class)
	case doSpent:
		p.again.Spent(e.At, p.Gate, class, e.Cost)
	case doFinished:
		p.again.Finished(e.At, p.Gate, class, e.Cost)
	case doMissed:
		p.again.Missed(e.At, p.Gate, class)
	case doJoined:
		p.again.Joined(e.At, p.Gate, p.peer(e.Peer), e.Serves)
	case doLeft:
		p.again.Left(e.At, p.Gate, p.peer(e.Peer))
	default:
		return fmt.Errorf("%w: %q is nothing that happens to a policy", ErrFormat, e.Do)
	}
	return nil
}

func (p *player[P]) start(e *entry, off storm.Options) error {
	p.joinerCfg = storm.DefaultJoinerConfig()
	if err := change(&p.joinerCfg, e.Config); err != nil {
		return err
	}
	p.joinerCfg.Off, p.joins = off, true
	p.again.Start(e.At, p.Joiner, &p.joinerCfg, storm.Book[P]{
		Cached: p.peers(e.Cached), Near: p.peers(e.Near), Bootstrap: p.peers(e.Bootstrap),
	})
	return nil
}

func (p *player[P]) open(e *entry, off storm.Options) error {
	p.gateCfg = storm.DefaultGateConfig()
	if err := change(&p.gateCfg, e.Config); err != nil {
		return err
	}
	p.gateCfg.Off, p.opened = off, true
	p.again.Open(e.At, p.Gate, &p.gateCfg)
	return nil
}

func (p *player[P]) step(kind storm.EventKind, e *entry) error {
	if !p.joins {
		return fmt.Errorf("%w: %q before the joiner was started", ErrFormat, e.Do)
	}
	ev := storm.Event[P]{Kind: kind, Peer: p.peer(e.Peer), Peers: p.peers(e.Peers)}
	if kind == storm.Answered {
		if e.Answer == nil {
			return fmt.Errorf("%w: answered without an answer", ErrFormat)
		}
		ev.Answer = p.answer(e.Answer)
	}
	p.again.Step(e.At, p.Joiner, &ev, e.draw, nil)
	return nil
}

func (p *player[P]) answer(d *decision) *storm.Answer[P] {
	a := &storm.Answer[P]{
		Verdict: storm.Verdict(max(slices.Index(verdictNames(), d.Do), 0)),
		Slot:    d.Slot, Delay: d.Delay, Uptime: d.Uptime, Load: d.Load,
	}
	a.N = uint8(copy(a.Referrals[:], p.peers(d.Refer)))
	return a
}

func (p *player[P]) ask(e *entry, class storm.Class) {
	q := storm.Question[P]{
		From: p.peer(e.Peer), Class: class, Prefix: e.Prefix, Slot: e.Slot, Serves: e.Serves, Ticket: e.Ticket, Gift: e.Gift, Quiet: e.Quiet,
	}
	var a storm.Answer[P]
	p.again.Ask(e.At, p.Gate, &q, e.draw(), &a)
}

// draw returns the next recorded random number. Where there is none left the policy
// draws more than it did, which is a difference.
func (e *entry) draw() float64 {
	if len(e.Drawn) == 0 {
		return 0
	}
	u := e.Drawn[0]
	e.Drawn = e.Drawn[1:]
	return u
}

func (p *player[P]) peer(number uint32) (who P) {
	if number != 0 {
		who = p.Peer(number)
		p.again.numbers[who] = number
	}
	return who
}

func (p *player[P]) peers(numbers []uint32) []P {
	var list []P
	for _, n := range numbers {
		list = append(list, p.peer(n))
	}
	return list
}
