package signaling

// A call's state is the product of two facts, "is the media path up" and "has
// the callee accepted", so that neither order of arrival is a special case.
//
//	              offer (sent by the caller, read by the callee)
//	    Idle ----------------------------------------------------.
//	                                                             v
//	   Live .-------------------------------------------------------------------.
//	        |                  path up                                          |
//	        |  not accepted  ----------->  not accepted     timers:             |
//	        |  path down     <-----------  path up          ringing (caller),   |
//	        |      |           path lost       |            answer (caller),    |
//	        |      | accept                    | accept     offered (callee)    |
//	        |      v           path up         v                                |
//	        |  accepted      ----------->  accepted                             |
//	        |  path down     <-----------  path up          Start, once         |
//	        |  timers: connect, path lost  no timer:                            |
//	        |  lost, closed                the path can end                     |
//	        '-------------------------------------------------------------------'
//	               | end here: say end               | end from the peer: say end back;
//	               v                                 | stream lost before accept;
//	   Ending -- end from the peer, or stream        | path closed and stream lost
//	             lost, or timer ending -----.        |
//	                                        v        v
//	                                          Ended
//
// Each end says "end" exactly once. When two ends cross, both take the reason
// that prefer chooses, so they agree on why the call ended.

// Role says which end of the call this is.
type Role uint8

// The two roles.
const (
	Caller Role = iota
	Callee
)

// Phase is the life cycle of a call.
type Phase uint8

// The phases. Only Live has inner states (Path, Accepted).
const (
	PhaseIdle   Phase = iota // before the offer
	PhaseLive                // from the offer to the first end
	PhaseEnding              // this end has said "end" and waits for the peer's
	PhaseEnded               // nothing happens any more
)

// Path is what media says of its path.
type Path uint8

// The states of the path.
const (
	PathNone   Path = iota // never up so far
	PathUp                 // up
	PathLost               // was up, silent now; may return
	PathClosed             // closed by the peer's media, for good
)

// Timer names the one timer that a state runs; leaving the state stops it.
type Timer uint8

// The timers, with their default durations (Config.Timers).
const (
	TimerNone    Timer = iota
	TimerRinging       // caller: offer to ringing, 15 s -> unreachable
	TimerAnswer        // caller: ringing to accept, 45 s -> no_answer
	TimerOffered       // callee: offer to accept, 65 s -> no_answer; the caller's timers come first
	TimerConnect       // accept to path up, 15 s -> media_failed
	TimerLost          // accepted, path lost, 15 s -> lost
	TimerClosed        // accepted, path closed by the peer without a word, 2 s -> lost
	TimerEnding        // the peer's answer to "end", 2 s -> ended all the same
)

// State is the whole state of a call as this end sees it. It is comparable
// and holds no time and no bytes from the peer.
type State struct {
	Role       Role
	Phase      Phase
	Path       Path
	Ringing    bool      // the callee's phone rings
	Accepted   bool      // the callee has accepted
	Started    bool      // Start was given out
	StreamDown bool      // the signalling stream broke; the call lives on its path alone
	Held       bool      // this end holds the call
	RemoteHeld bool      // the peer holds the call
	Reason     EndReason // in Ending and Ended
	Remote     bool      // in Ended: the reason is the peer's
}

// InputKind names what can happen to a call.
type InputKind uint8

// The inputs by origin.
const (
	// Both ends, at the beginning.
	OnOffer InputKind = iota // the offer was sent or read

	// This end's phone.
	OnRing      // callee: the phone rings
	OnAccept    // callee: accept
	OnEnd       // end with Input.Reason
	OnHold      // hold
	OnResume    // resume
	OnCandidate // a candidate of this end

	// The peer.
	OnRemoteRinging
	OnRemoteAccept
	OnRemoteHold
	OnRemoteResume
	OnRemoteCandidate
	OnRemoteEnd  // end with Input.Reason
	OnAuthentic  // both nonces are known: caller by ringing or accept, callee by reveal
	OnBadMessage // a fault in the peer's messages, with Input.Reason
	OnStreamLost // the stream broke or the peer closed it

	// Media.
	OnPathUp
	OnPathLost
	OnPathClosed

	// Time.
	OnTimeout // Input.Timer ran out
)

// Input is one thing that happened.
type Input struct {
	Kind   InputKind
	Reason EndReason // OnEnd, OnRemoteEnd, OnBadMessage
	Timer  Timer     // OnTimeout
}

// ActionKind names what the goroutine around the machine is told to do.
type ActionKind uint8

// The kinds of action.
const (
	DoSend     ActionKind = iota // send Action.Message
	DoEmit                       // tell this end's phone Action.Emit
	DoArm                        // stop the running timer and start Action.Timer (TimerNone: only stop)
	DoSurprise                   // log that the input meant nothing in this state
)

// Emission names an event for this end's phone.
type Emission uint8

// The events, see the types in events.go.
const (
	EmitRinging Emission = iota
	EmitAccepted
	EmitCandidate
	EmitHold
	EmitSAS
	EmitStart
	EmitStopping
	EmitEnded
)

// Action is one thing to do, in order.
type Action struct {
	Kind    ActionKind
	Message MessageType
	Emit    Emission
	Timer   Timer
}

// Next is the whole behaviour of a call: it takes a state and an input and
// gives the new state and what is to be done, in order. It is pure.
func Next(s State, in Input) (State, []Action) {
	next, actions := step(s, in)
	if t := next.Timer(); t != s.Timer() {
		actions = append(actions, Action{Kind: DoArm, Timer: t})
	}
	return next, actions
}

func step(s State, in Input) (State, []Action) {
	switch s.Phase {
	case PhaseIdle:
		return idle(s, in)
	case PhaseLive:
		return live(s, in)
	case PhaseEnding:
		return ending(s, in)
	case PhaseEnded:
		return s, nil
	}
	panic("bug: a call in no phase")
}

// Timer returns the timer that runs in state s.
func (s State) Timer() Timer {
	switch {
	case s.Phase == PhaseEnding:
		return TimerEnding
	case s.Phase != PhaseLive:
		return TimerNone
	case !s.Accepted && s.Role == Callee:
		return TimerOffered
	case !s.Accepted && s.Ringing:
		return TimerAnswer
	case !s.Accepted:
		return TimerRinging
	}
	return [...]Timer{PathNone: TimerConnect, PathUp: TimerNone, PathLost: TimerLost, PathClosed: TimerClosed}[s.Path]
}

func idle(s State, in Input) (State, []Action) {
	if in.Kind != OnOffer {
		return surprise(s)
	}
	s.Phase = PhaseLive
	if s.Role == Callee {
		return s, nil
	}
	return s, []Action{send(TypeOffer)}
}

func live(s State, in Input) (State, []Action) {
	switch in.Kind {
	case OnOffer:
		return surprise(s)
	case OnRing, OnAccept, OnHold, OnResume, OnCandidate:
		return livePhone(s, in)
	case OnRemoteRinging, OnRemoteAccept, OnRemoteHold, OnRemoteResume, OnRemoteCandidate, OnAuthentic:
		return livePeer(s, in)
	case OnPathUp, OnPathLost, OnPathClosed, OnStreamLost:
		return liveLink(s, in)
	case OnEnd:
		return end(s, in.Reason)
	case OnRemoteEnd:
		return ended(s, in.Reason, true, send(TypeEnd))
	case OnBadMessage:
		return ended(s, in.Reason, false, send(TypeEnd))
	case OnTimeout:
		return liveTimeout(s, in.Timer)
	}
	panic("bug: an input of no kind")
}

func livePhone(s State, in Input) (State, []Action) {
	switch {
	case in.Kind == OnRing && s.Role == Callee && !s.Ringing && !s.Accepted:
		s.Ringing = true
		return s, []Action{send(TypeRinging)}
	case in.Kind == OnAccept && s.Role == Callee && !s.Accepted:
		s.Accepted = true
		return start(s, send(TypeAccept))
	case in.Kind == OnHold && s.Accepted && !s.Held:
		s.Held = true
		return s, s.unlessDown(send(TypeHold))
	case in.Kind == OnResume && s.Held:
		s.Held = false
		return s, s.unlessDown(send(TypeResume))
	case in.Kind == OnCandidate:
		return s, s.unlessDown(send(TypeCandidate))
	}
	return surprise(s)
}

func livePeer(s State, in Input) (State, []Action) {
	switch {
	case in.Kind == OnRemoteRinging && s.Role == Caller && !s.Ringing && !s.Accepted:
		s.Ringing = true
		return s, []Action{emit(EmitRinging)}
	case in.Kind == OnRemoteAccept && s.Role == Caller && !s.Accepted:
		s.Accepted = true
		return start(s, emit(EmitAccepted))
	case in.Kind == OnRemoteHold && s.Accepted && !s.RemoteHeld:
		s.RemoteHeld = true
		return s, []Action{emit(EmitHold)}
	case in.Kind == OnRemoteResume && s.RemoteHeld:
		s.RemoteHeld = false
		return s, []Action{emit(EmitHold)}
	case in.Kind == OnRemoteCandidate:
		return s, []Action{emit(EmitCandidate)}
	case in.Kind == OnAuthentic && s.Role == Caller:
		return s, append(s.unlessDown(send(TypeReveal)), emit(EmitSAS))
	case in.Kind == OnAuthentic:
		return s, []Action{emit(EmitSAS)}
	}
	return surprise(s)
}

// liveLink follows the two connections between the ends. Once accepted, the
// call lives as long as either of them can still end it.
func liveLink(s State, in Input) (State, []Action) {
	switch {
	case in.Kind == OnPathUp && (s.Path == PathNone || s.Path == PathLost):
		s.Path = PathUp
		return start(s)
	case in.Kind == OnPathLost && s.Path == PathUp:
		s.Path = PathLost
		return s, nil
	case in.Kind == OnPathClosed && s.Path != PathClosed:
		s.Path = PathClosed
	case in.Kind == OnStreamLost && !s.Accepted:
		return ended(s, ReasonLost, false)
	case in.Kind == OnStreamLost && !s.StreamDown:
		s.StreamDown = true
	default:
		return surprise(s)
	}
	if s.StreamDown && s.Path == PathClosed { // closing its media was the peer's only way to say goodbye
		return ended(s, ReasonHangup, true)
	}
	return s, nil
}

func liveTimeout(s State, t Timer) (State, []Action) {
	if t == TimerNone || t != s.Timer() {
		return surprise(s)
	}
	return end(s, map[Timer]EndReason{
		TimerRinging: ReasonUnreachable,
		TimerAnswer:  ReasonNoAnswer,
		TimerOffered: ReasonNoAnswer,
		TimerConnect: ReasonMediaFailed,
		TimerLost:    ReasonLost,
		TimerClosed:  ReasonLost,
	}[t])
}

// ending waits for the peer's end; whatever else is still on its way is dropped.
func ending(s State, in Input) (State, []Action) {
	switch {
	case in.Kind == OnRemoteEnd:
		reason := prefer(s.Reason, in.Reason)
		return ended(s, reason, reason != s.Reason)
	case in.Kind == OnTimeout && in.Timer == TimerEnding, in.Kind == OnStreamLost, in.Kind == OnBadMessage:
		return ended(s, s.Reason, false)
	}
	return s, nil
}

// start lets media flow if this was the last fact missing for it.
func start(s State, before ...Action) (State, []Action) {
	if s.Accepted && s.Path == PathUp && !s.Started {
		s.Started = true
		return s, append(before, emit(EmitStart))
	}
	return s, before
}

// end is this end's wish to end: media stops now, the peer is told, and its
// answer settles the reason.
func end(s State, reason EndReason) (State, []Action) {
	if s.StreamDown {
		return ended(s, reason, false)
	}
	s.Phase, s.Reason = PhaseEnding, reason
	return s, []Action{send(TypeEnd), emit(EmitStopping)}
}

func ended(s State, reason EndReason, remote bool, before ...Action) (State, []Action) {
	actions := append(s.unlessDown(before...), emit(EmitEnded))
	s.Phase, s.Reason, s.Remote = PhaseEnded, reason, remote
	return s, actions
}

// surprise is the one place where an input that means nothing in a state goes.
func surprise(s State) (State, []Action) { return s, []Action{{Kind: DoSurprise}} }

func (s State) unlessDown(actions ...Action) []Action {
	if s.StreamDown {
		return nil
	}
	return actions
}

func send(t MessageType) Action { return Action{Kind: DoSend, Message: t} }
func emit(e Emission) Action    { return Action{Kind: DoEmit, Emit: e} }
