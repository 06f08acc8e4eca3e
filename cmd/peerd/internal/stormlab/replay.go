package stormlab

import (
	"io"
	"time"

	"github.com/peerd/peerd/node/storm"
	"github.com/peerd/peerd/node/storm/trace"
)

// Replay feeds a trace of some node's policy to that of a simulated one, and says
// whether it decides the same.
func Replay(in io.Reader) (trace.Report, error) {
	s := &sim{nodes: make([]node, 1), servers: make([]server, 1)}
	n := &s.nodes[0]
	return trace.Replay(in, trace.Lab[uint32]{
		Joiner: &n.joiner, Gate: &s.servers[n.server].gate, Role: &n.role,
		Peer:  func(number uint32) uint32 { return number },
		Until: func(at storm.Moment) { s.now = max(s.now, at) },
	})
}

// recorder is that of a node, nil of those that are not traced.
func (s *sim) recorder(id uint32) *trace.Recorder[uint32] {
	if id != s.traced {
		return nil
	}
	return s.trace
}

// joined has a server hear of another one.
func (s *sim) joined(at time.Duration, server, other uint32) {
	s.recorder(server).Joined(at, &s.servers[s.nodes[server].server].gate, other, true)
}
