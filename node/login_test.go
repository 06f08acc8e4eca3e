package node

import (
	"testing"
	"time"
)

func online() facts {
	ok := publication{valid: true, acks: 3}
	return facts{members: 4, servers: 3, presence: ok, account: ok, hasAccount: true, reach: ReachDirect, witnesses: 3}
}

func TestJudge(t *testing.T) {
	local := publication{valid: true, local: true}
	for _, c := range []struct {
		name    string
		change  func(*facts)
		missing []string
		alone   bool
	}{
		{"all there", func(*facts) {}, nil, false},
		{"two servers, three acknowledgements", func(f *facts) { f.servers = 2 }, nil, false},
		{"one acknowledgement while online", func(f *facts) { f.presence.acks, f.account.acks, f.wasOnline = 1, 1, true }, nil, false},
		{"one server in the world", func(f *facts) {
			f.members, f.servers, f.presence.acks, f.account.acks = 1, 1, 1, 1
		}, nil, false},
		{
			"nobody answers", func(f *facts) { *f = facts{hasAccount: true} },
			[]string{MissingNeighbours, MissingPresence, MissingAccount},
			false,
		},
		{"a second device has no account record", func(f *facts) { f.hasAccount, f.account = false, publication{} }, nil, false},
		{"too few acknowledge", func(f *facts) { f.presence.acks = 2 }, []string{MissingPresence}, false},
		{"a relay found after publishing", func(f *facts) { f.presence.stale = true }, []string{MissingPresence}, false},
		{"addresses changed while online", func(f *facts) { f.presence.stale, f.wasOnline = true, true }, nil, false},
		{"expired", func(f *facts) { f.presence.valid = false }, []string{MissingPresence}, false},
		{"a first node met by a second", func(f *facts) {
			*f = facts{
				serving: true, wasOnline: true, members: 1, servers: 1, witnesses: 1,
				hasAccount: true, presence: local, account: local, reach: ReachUnknown,
			}
		}, nil, false},
		{
			"relay lost while online", func(f *facts) { f.reach, f.reachAsked, f.wasOnline = ReachUnknown, true, true },
			[]string{MissingReach},
			false,
		},
		{"not reachable", func(f *facts) { f.reach = ReachUnknown }, []string{MissingReach}, false},
		{"nobody can tell", func(f *facts) { f.reach, f.witnesses = ReachUnknown, 0 }, nil, false},
		{"first node", func(f *facts) {
			*f = facts{serving: true, first: true, hasAccount: true, presence: local, account: local, reach: ReachUnknown}
		}, nil, true},
		{"first node with a phone", func(f *facts) {
			*f = facts{serving: true, first: true, members: 1, hasAccount: true, presence: local, account: local, reach: ReachUnknown}
		}, nil, false},
		{"a server whose bootstrap nodes are silent is not first", func(f *facts) {
			*f = facts{serving: true, hasAccount: true, presence: local, account: local, reach: ReachUnknown}
		}, []string{MissingNeighbours, MissingPresence, MissingAccount}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := online()
			c.change(&f)
			v := judge(f)
			if v.alone != c.alone || v.online != (len(c.missing) == 0) || len(v.missing) != len(c.missing) {
				t.Fatalf("%+v", v)
			}
			for i, m := range v.missing {
				if m.What != c.missing[i] || (m.Why == "" && m.What != MissingReach) {
					t.Errorf("missing %+v, want %s", m, c.missing[i])
				}
			}
		})
	}
}

func TestMissingKeepsItsTime(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	l := login{opened: start}
	lost := online()
	lost.servers = 0
	step := func(f facts, at time.Duration) { f.wasOnline = l.state == Online; l.apply(f, judge(f), start.Add(at)) }

	step(lost, time.Second)
	if l.state != Starting || !l.missing[0].Since.Equal(start) {
		t.Fatalf("%s %+v", l.state, l.missing)
	}
	step(online(), 2*time.Second)
	if l.state != Online || l.took != 2*time.Second || len(l.missing) != 0 {
		t.Fatalf("%s %v %+v", l.state, l.took, l.missing)
	}
	step(lost, 5*time.Second)
	step(lost, 9*time.Second)
	if l.state != Offline || !l.missing[0].Since.Equal(start.Add(5*time.Second)) {
		t.Fatalf("%s %+v", l.state, l.missing)
	}
	step(online(), 10*time.Second)
	if l.state != Online || l.took != 2*time.Second {
		t.Fatalf("%s took %v", l.state, l.took)
	}
}
