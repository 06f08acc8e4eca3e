package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

// call lets alice call bob by name, both speak, and alice hang up.
func (s *stage) call(c cast, r *Report) error {
	following, stop := context.WithCancel(s.ctx)
	defer stop()
	alice, err := s.followCalls(following, c.alice)
	if err != nil {
		return err
	}
	bob, err := s.followCalls(following, c.bob)
	if err != nil {
		return err
	}
	t := &talk{stage: s, cast: c, alice: alice, bob: bob}
	if err := t.setUp(); err != nil {
		return err
	}
	if err := t.speak(); err != nil {
		return err
	}
	if err := t.note(r); err != nil {
		return err
	}
	return t.hangUp()
}

// talk is the call in progress.
type talk struct {
	*stage
	cast
	alice, bob callFeed
	out, in    string // the call's id at alice's and at bob's end
}

// setUp dials, waits until it rings at both ends, and answers.
func (t *talk) setUp() error {
	ctx, cancel := context.WithTimeoutCause(t.ctx, callTime, fmt.Errorf("nothing for %v", callTime))
	defer cancel()
	t.say("alice calls bob")
	call, err := t.cast.alice.api.Dial(ctx, "bob")
	if err != nil {
		return fmt.Errorf("alice calls bob: %w", err)
	}
	t.out = call.ID
	call, err = t.alice.until(ctx, "ringing", func(c localapi.Call) bool {
		return c.ID == t.out && c.State == localapi.CallRinging
	})
	if err != nil {
		return err
	}
	t.say("bob was found after %s, it rings after %s", ms(call.LookupMS), ms(call.RingMS))
	call, err = t.bob.until(ctx, "ringing", func(c localapi.Call) bool {
		return c.Direction == localapi.Incoming && c.State == localapi.CallRinging
	})
	if err != nil {
		return err
	}
	t.in = call.ID
	if _, err := t.cast.bob.api.Control(ctx, "answer", t.in); err != nil {
		return fmt.Errorf("bob answers: %w", err)
	}
	return t.bothActive(ctx)
}

// bothActive waits until sound may flow at both ends.
func (t *talk) bothActive(ctx context.Context) error {
	for _, f := range []callFeed{t.alice, t.bob} {
		_, err := f.until(ctx, "sound", func(c localapi.Call) bool { return c.State == localapi.CallActive })
		if err != nil {
			return err
		}
	}
	return nil
}

// speak waits until both have said everything.
func (t *talk) speak() error {
	length := max(t.spoken[0].duration(), t.spoken[1].duration())
	t.say("bob answers; they talk for %.1f s", length.Seconds())
	end, tick := time.NewTimer(length+afterTalk), time.NewTicker(everyNow)
	defer end.Stop()
	defer tick.Stop()
	for began := time.Now(); ; {
		var news localapi.Call
		select {
		case <-end.C:
			return nil
		case <-tick.C:
			t.say("... %.0f s of it", time.Since(began).Seconds())
		case <-t.ctx.Done():
			return context.Cause(t.ctx)
		case news = <-t.alice.calls:
		case news = <-t.bob.calls:
		}
		if news.State == localapi.CallEnded {
			return fmt.Errorf("the call ended before its time: %s %s", news.EndReason, news.Error)
		}
	}
}

// note takes down what both ends measured while the call still lasts.
func (t *talk) note(r *Report) error {
	out, err := t.cast.alice.api.Call(t.ctx, t.out)
	if err != nil {
		return fmt.Errorf("ask alice about the call: %w", err)
	}
	in, err := t.cast.bob.api.Call(t.ctx, t.in)
	if err != nil {
		return fmt.Errorf("ask bob about the call: %w", err)
	}
	r.LookupMS, r.RingMS, r.Path, r.TalkS = out.LookupMS, out.RingMS, out.Path, out.DurationS
	r.AnswerToAudioMS = later(out.AnswerToAudioMS, in.AnswerToAudioMS)
	r.Timeline = timeline(out, in)
	r.Legs = []Leg{leg("alice", "bob", in), leg("bob", "alice", out)}
	return nil
}

// timeline puts together what both ends know of the set-up; their clock is the
// same one. What was not measured is left out.
func timeline(out, in localapi.Call) []Span {
	var spans []Span
	add := func(what string, from time.Time, took *float64) {
		if took != nil {
			at := float64(from.Sub(out.Started)) / float64(time.Millisecond)
			spans = append(spans, Span{What: what, From: at, To: at + *took})
		}
	}
	add("look-up", out.Started, out.LookupMS)
	add("ringing", out.Started, out.RingMS)
	if n := len(spans); n == 2 { // the ring comes after the look-up
		spans[1].From = spans[0].To
	}
	if in.Answered != nil {
		add("answer to sound, bob", *in.Answered, in.AnswerToAudioMS)
	}
	if out.Answered != nil {
		add("answer to sound, alice", *out.Answered, out.AnswerToAudioMS)
	}
	return spans
}

// leg begins a leg with what the listener measured.
func leg(from, to string, listener localapi.Call) Leg {
	return Leg{
		From: from, To: to, ConcealedRatio: listener.Stats.ConcealedRatio, AnswerToAudioMS: listener.AnswerToAudioMS,
		PacketsLost: listener.Stats.PacketsLost, Underruns: listener.Stats.Underruns,
	}
}

// later is the greater of two measured times; nothing if either is missing.
func later(a, b *float64) *float64 {
	if a == nil || b == nil {
		return nil
	}
	v := max(*a, *b)
	return &v
}

// hangUp ends the call and waits until both ends know.
func (t *talk) hangUp() error {
	ctx, cancel := context.WithTimeoutCause(t.ctx, callTime, fmt.Errorf("nothing for %v", callTime))
	defer cancel()
	if _, err := t.cast.alice.api.Control(ctx, "hangup", t.out); err != nil {
		return fmt.Errorf("alice hangs up: %w", err)
	}
	for _, f := range []callFeed{t.alice, t.bob} {
		_, err := f.until(ctx, "the end", func(c localapi.Call) bool { return c.State == localapi.CallEnded })
		if err != nil {
			return err
		}
	}
	t.say("alice has hung up; measuring")
	return nil
}
