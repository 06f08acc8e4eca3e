//go:build cgo

package phone

import (
	"errors"
	"testing"

	"github.com/peerd/peerd/audio"
)

func TestCallAndHear(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	mine, theirs := alice.talk(bob)
	eventually(t, "both hear each other", func() bool {
		return alice.card.hears(bob.card.pitch) && bob.card.hears(alice.card.pitch)
	})
	a, err := alice.Call(mine)
	must(t, err)
	b, err := bob.Call(theirs)
	must(t, err)
	if a.ID != b.ID {
		t.Errorf("ids differ: %s, %s", a.ID, b.ID)
	}
	if len(a.SAS) != 4 || len(b.SAS) != 4 {
		t.Fatalf("words are %q and %q", a.SAS, b.SAS)
	}
	for i := range a.SAS {
		if a.SAS[i] != b.SAS[i] {
			t.Errorf("words differ: %q, %q", a.SAS, b.SAS)
		}
	}
	for _, c := range []Call{a, b} {
		if c.Path != "direct" || c.Ring <= 0 || c.AnswerToAudio <= 0 || len(c.Stats.Chain) != 2 {
			t.Errorf("%s call lacks figures: %+v", c.Direction, c)
		}
	}
	if a.Remote.Name != "bob" || b.Remote.Name != "alice" || a.Remote.Stranger || b.Remote.Stranger {
		t.Errorf("remotes are %+v and %+v", a.Remote, b.Remote)
	}
	must(t, alice.Hangup(""))
	last := alice.ended(mine, "hangup", "local")
	bob.ended(theirs, "hangup", "remote")
	if last.Duration <= 0 || last.Stats.PacketsReceived == 0 {
		t.Errorf("history lacks figures: %+v", last)
	}
	eventually(t, "the sound devices are closed", func() bool {
		a, _ := alice.card.streams()
		b, _ := bob.card.streams()
		return a == 0 && b == 0
	})
}

func TestReject(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	mine := all[0].calls(all[1])
	theirs := all[1].ringing()
	must(t, all[1].Reject(""))
	all[0].ended(mine, "declined", "remote")
	all[1].ended(theirs.ID, "declined", "local")
	if _, ever := all[1].card.streams(); ever != 0 {
		t.Error("the sound device was opened for a call that was never accepted")
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	mine := all[0].calls(all[1])
	theirs := all[1].ringing()
	must(t, all[0].Hangup(mine))
	all[0].ended(mine, "cancelled", "local")
	all[1].ended(theirs.ID, "cancelled", "remote")
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, func(_ int, cfg *Config) { cfg.Timers.Answer = 300e6 })
	mine := all[0].calls(all[1])
	theirs := all[1].ringing()
	all[0].ended(mine, "no_answer", "")
	all[1].ended(theirs.ID, "no_answer", "")
}

func TestBusy(t *testing.T) {
	t.Parallel()
	all := tels(t, 3, func(i int, cfg *Config) {
		if i == 1 {
			cfg.MaxCalls = 1
		}
	})
	alice, bob, carol := all[0], all[1], all[2]
	mine, _ := alice.talk(bob)
	second := carol.calls(bob)
	carol.ended(second, "busy", "remote")
	alice.in(mine, StateActive)
	if _, err := bob.Dial("carol"); !errors.Is(err, ErrTooManyCalls) {
		t.Errorf("one call too many: %v", err)
	}
}

// TestStrangersLeaveRoom: strangers that ring do not keep contacts out.
func TestStrangersLeaveRoom(t *testing.T) {
	t.Parallel()
	all := strangers(t, 4, func(i int, cfg *Config) {
		if i == 1 {
			cfg.MaxCalls = 4
		}
	})
	bob, carol := all[1], all[2]
	rings, err := all[0].Dial(bob.Link())
	must(t, err)
	all[0].in(rings, StateRinging)
	second, err := all[3].Dial(bob.Link())
	must(t, err)
	all[3].ended(second, "busy", "remote")
	bob.knows(carol)
	third, err := carol.Dial(bob.Link())
	must(t, err)
	carol.in(third, StateRinging)
}

func TestCallWaitingTakesTheSoundDevice(t *testing.T) {
	t.Parallel()
	all := tels(t, 3, nil)
	alice, bob, carol := all[0], all[1], all[2]
	bob.card.exclusive = true
	first, _ := alice.talk(bob)
	second := carol.calls(bob)
	theirs := bob.ringing()
	must(t, bob.Answer(theirs.ID))
	carol.in(second, StateActive)
	alice.in(first, StateHeld)
	eventually(t, "bob hears carol", func() bool { return bob.card.hears(carol.card.pitch) })
	must(t, bob.Resume(first))
	carol.in(second, StateHeld)
	alice.in(first, StateActive)
	bob.card.forgetPlayed()
	eventually(t, "bob hears alice again", func() bool { return bob.card.hears(alice.card.pitch) })
	if open, _ := bob.card.streams(); open != 1 {
		t.Errorf("%d streams open on an exclusive device", open)
	}
	if err := bob.Hangup(""); !errors.Is(err, ErrAmbiguousCall) {
		t.Errorf("hanging up one of two calls: %v", err)
	}
}

func TestHoldAndResume(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	mine, theirs := alice.talk(bob)
	eventually(t, "bob hears alice", func() bool { return bob.card.hears(alice.card.pitch) })
	must(t, alice.Hold(""))
	if c := alice.in(mine, StateHeld); !c.Held || c.RemoteHeld {
		t.Errorf("alice holds: %+v", c)
	}
	if c := bob.in(theirs, StateHeld); c.Held || !c.RemoteHeld {
		t.Errorf("bob is held: %+v", c)
	}
	alice.card.forgetPlayed()
	bob.card.forgetPlayed()
	eventually(t, "silence at both ends", func() bool { return alice.card.silent() && bob.card.silent() })
	must(t, alice.Resume(""))
	alice.in(mine, StateActive)
	bob.in(theirs, StateActive)
	eventually(t, "both hear again", func() bool {
		return alice.card.hears(bob.card.pitch) && bob.card.hears(alice.card.pitch)
	})
}

func TestMute(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	mine, _ := alice.talk(bob)
	eventually(t, "bob hears alice", func() bool { return bob.card.hears(alice.card.pitch) })
	must(t, alice.Mute(""))
	if c, _ := alice.Call(mine); !c.Muted {
		t.Error("the call does not say that it is muted")
	}
	eventually(t, "bob hears nothing", bob.card.silent)
	eventually(t, "alice hears bob while she is muted", func() bool { return alice.card.hears(bob.card.pitch) })
	must(t, alice.Unmute(mine))
	eventually(t, "bob hears alice again", func() bool { return bob.card.hears(alice.card.pitch) })
}

func TestMutedBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	mine := alice.calls(bob)
	must(t, alice.Mute(mine))
	must(t, bob.Answer(bob.ringing().ID))
	alice.in(mine, StateActive)
	eventually(t, "alice hears bob", func() bool { return alice.card.hears(bob.card.pitch) })
	eventually(t, "bob hears nothing", bob.card.silent)
}

func TestDTMF(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	events, cancel := bob.Subscribe()
	defer cancel()
	_, theirs := alice.talk(bob)
	if err := alice.DTMF("", "12x"); !errors.Is(err, ErrBadDigits) {
		t.Errorf("digits 12x: %v", err)
	}
	must(t, alice.DTMF("", "1#d"))
	eventually(t, "the digits arrive", func() bool {
		c, _ := bob.Call(theirs)
		return c.Digits == "1#D"
	})
	var digits string
	eventually(t, "events tell the digits", func() bool {
		for len(events) > 0 {
			if e := <-events; e.Type == EventDTMF {
				digits += e.Digit
			}
		}
		return digits == "1#D"
	})
}

func TestSoundDeviceFailsAtAnswer(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	bob.card.breaks(audio.ErrNoDevice)
	mine := alice.calls(bob)
	theirs := bob.ringing()
	if err := bob.Answer(""); !errors.Is(err, ErrSoundDevice) || !errors.Is(err, audio.ErrNoDevice) {
		t.Fatalf("answering without a sound device: %v", err)
	}
	bob.in(theirs.ID, StateRinging)
	bob.card.breaks(nil)
	must(t, bob.Answer(""))
	alice.in(mine, StateActive)
}

func TestSoundDeviceFailsAtTheCaller(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, nil)
	alice, bob := all[0], all[1]
	alice.card.breaks(audio.ErrNoDevice)
	mine := alice.calls(bob)
	theirs := bob.ringing()
	must(t, bob.Answer(""))
	if c := alice.ended(mine, "media_failed", "local"); c.Error == "" {
		t.Error("the caller is not told why")
	}
	bob.ended(theirs.ID, "media_failed", "remote")
}

func TestAutoAnswer(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, func(i int, cfg *Config) {
		if i == 1 {
			cfg.Answer = AnswerAuto
		}
	})
	alice, bob := all[0], all[1]
	mine := alice.calls(bob)
	alice.in(mine, StateActive)
	eventually(t, "both hear each other", func() bool {
		return alice.card.hears(bob.card.pitch) && bob.card.hears(alice.card.pitch)
	})
	must(t, alice.Hangup(""))
	alice.ended(mine, "hangup", "local")
	bob.card.breaks(audio.ErrNoDevice)
	alice.ended(alice.calls(bob), "media_failed", "remote")
}

func TestEcho(t *testing.T) {
	t.Parallel()
	all := tels(t, 2, func(i int, cfg *Config) {
		if i == 1 { // as a build without cgo has it
			cfg.Answer, cfg.Device, cfg.Encoder = AnswerEcho, nil, nil
		}
	})
	alice, echo := all[0], all[1]
	mine := alice.calls(echo)
	alice.in(mine, StateActive)
	eventually(t, "alice hears herself", func() bool { return alice.card.hears(alice.card.pitch) })
	if n := echo.known.Load() + echo.strangers.Load(); n != 0 {
		t.Errorf("the echo decoded: %d decoders", n)
	}
	if _, err := echo.Dial("alice"); !errors.Is(err, ErrNoEncoder) {
		t.Errorf("dialling without an encoder: %v", err)
	}
	must(t, alice.Hangup(""))
	alice.ended(mine, "hangup", "local")
}
