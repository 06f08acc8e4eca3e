package stormlab

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/peerd/peerd/node/storm"
	"github.com/peerd/peerd/node/storm/trace"
)

// Replay feeds a trace of some node's policy to the policy as the nodes of this lab
// run it, in virtual time, and says whether it decides the same.
func Replay(t *testing.T, in io.Reader) (report trace.Report, err error) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		begun := time.Now()
		report, err = trace.Replay(in, trace.Lab[peer.ID]{
			Joiner: new(storm.Joiner[peer.ID]), Gate: new(storm.Gate[peer.ID]), Role: new(storm.Role),
			Peer:  func(number uint32) peer.ID { return peer.ID(fmt.Sprint("peer ", number)) },
			Until: func(at storm.Moment) { time.Sleep(at - time.Since(begun)) },
		})
	})
	return report, err
}
