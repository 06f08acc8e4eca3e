package signaling

import "strings"

// Name is the state in one word, for people: idle, calling (caller, not
// ringing yet), offered (callee, not ringing yet), ringing, connecting
// (accepted, media not yet flowing), active, reconnecting (path lost), held,
// ending, ended.
func (s State) Name() string {
	switch {
	case s.Phase == PhaseIdle:
		return "idle"
	case s.Phase == PhaseEnding:
		return "ending"
	case s.Phase == PhaseEnded:
		return "ended"
	case !s.Accepted && s.Ringing:
		return "ringing"
	case !s.Accepted && s.Role == Callee:
		return "offered"
	case !s.Accepted:
		return "calling"
	case !s.Started:
		return "connecting"
	case s.Path != PathUp:
		return "reconnecting"
	case s.Held || s.RemoteHeld:
		return "held"
	}
	return "active"
}

// String gives role, name and the facts behind it, for logs.
func (s State) String() string {
	words := []string{s.Role.String(), s.Name(), "path-" + s.Path.String()}
	if s.StreamDown {
		words = append(words, "stream-down")
	}
	if s.Reason != "" {
		words = append(words, string(s.Reason))
	}
	return strings.Join(words, " ")
}

func (r Role) String() string {
	if r == Callee {
		return "callee"
	}
	return "caller"
}

func (p Path) String() string { return [...]string{"none", "up", "lost", "closed"}[p] }

func (k InputKind) String() string {
	return [...]string{
		"offer", "ring", "accept", "end", "hold", "resume", "candidate",
		"remote ringing", "remote accept", "remote hold", "remote resume", "remote candidate",
		"remote end", "authentic", "bad message", "stream lost",
		"path up", "path lost", "path closed", "timeout",
	}[k]
}
