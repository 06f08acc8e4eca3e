// Package soundlab measures how a call sounds: two real media sessions in
// virtual time over a simulated network, real speech in, a recording, a table
// and a picture out. It runs under go test only, as virtual time does:
//
//	make soundlab
package soundlab

import (
	"fmt"
	"time"

	"github.com/peerd/peerd/media/mediatest"
)

// Profile is a network and how it changes during a call.
type Profile struct {
	Name    string
	Weather mediatest.Weather
	Changes []Change // in order
}

// Change is the weather from a moment of the measured part of a call on.
type Change struct {
	At      time.Duration
	Weather mediatest.Weather
	Stall   time.Duration // the link delivers nothing for so long, then all at once
}

// burstMean is the mean length of the bursts of loss, packets.
const burstMean = 2.5

// queueHolds is the depth of the queue in front of a bottleneck.
const queueHolds = 400 * time.Millisecond

// Profiles are all networks of the laboratory.
func Profiles() []Profile {
	ms := time.Millisecond
	moderate := mediatest.Weather{Delay: 75 * ms, Jitter: 50 * ms, Loss: 0.05}
	international := mediatest.Weather{
		Delay: 150 * ms, Jitter: 200 * ms, GoBad: 0.03, GoGood: 0.25,
		Duplicate: 0.02, Reorder: 0.05, Rate: 300_000, Queue: queueHolds,
	}
	calm := mediatest.Weather{Delay: 50 * ms}
	all := []Profile{
		{Name: "clean"},
		{Name: "moderate", Weather: moderate},
		{Name: "international", Weather: international},
		{Name: "spiky", Weather: calm, Changes: []Change{
			{At: 10 * time.Second, Weather: mediatest.Weather{Delay: 100 * ms, GoBad: 0.11, GoGood: 0.25}},
			{At: 20 * time.Second, Weather: calm},
		}},
		{Name: "jitter", Weather: mediatest.Weather{Delay: 10 * ms, Jitter: 30 * ms}},
		{Name: "spike", Weather: calm, Changes: []Change{{At: 8 * time.Second, Weather: calm, Stall: 300 * ms}}},
	}
	for _, percent := range []int{5, 10, 20, 30, 50} {
		all = append(all, Profile{
			Name:    fmt.Sprintf("loss-%d", percent),
			Weather: mediatest.Weather{Loss: float64(percent) / 100},
		})
	}
	for _, percent := range []int{5, 10, 20, 30} {
		all = append(all, Profile{
			Name:    fmt.Sprintf("bursts-%d", percent),
			Weather: mediatest.Bursts(float64(percent)/100, burstMean),
		})
	}
	narrow := func(kbits int) mediatest.Weather {
		return mediatest.Weather{Delay: 20 * ms, Rate: kbits * 1000, Queue: queueHolds}
	}
	for _, kbits := range []int{300, 100, 50, 25} {
		all = append(all, Profile{Name: fmt.Sprintf("rate-%d", kbits), Weather: narrow(kbits)})
	}
	free := mediatest.Weather{Delay: 20 * ms}
	return append(all, Profile{Name: "rate-changes", Weather: free, Changes: []Change{
		{At: 5 * time.Second, Weather: narrow(50)},
		{At: 12 * time.Second, Weather: narrow(25)},
		{At: 19 * time.Second, Weather: free},
	}})
}
