//go:build !race

package storm_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/peerd/peerd/test/harness"
)

// percentile is the smallest value that a share of all does not exceed; -1 of none.
func percentile(values []time.Duration, share float64) time.Duration {
	if len(values) == 0 {
		return -1
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// spread is T50, T99 and T100 of times, as text.
func spread(values []time.Duration) string {
	return fmt.Sprintf("%s / %s / %s", seconds(percentile(values, 0.5)), seconds(percentile(values, 0.99)), seconds(percentile(values, 1)))
}

func seconds(d time.Duration) string {
	if d == never {
		return "never"
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// phones are the comebacks of those that are no bootstrap nodes.
func (f *fleet) phones(of func(*comeback) time.Duration) (all []time.Duration) {
	for _, m := range f.members {
		if !m.boot {
			all = append(all, of(&m.comeback))
		}
	}
	return all
}

// left are the members that did not come back, each with the reason.
func (f *fleet) left() (who []string) {
	for _, m := range f.members {
		if m.rang == never {
			who = append(who, fmt.Sprintf("%s (online: %s): %v; %q", m.Name(), seconds(m.online), m.failed, m.vain))
		}
	}
	return who
}

// tells is a restart as text: the figures that the laboratories have, too.
func (f *fleet) tells() string {
	var b strings.Builder
	dialled := f.phones(func(c *comeback) time.Duration { return c.back })
	fmt.Fprintf(&b, "back, T50 / T99 / T100: %s; by its own word: %s; the call that proves it rang: %s\n", spread(dialled),
		spread(f.phones(func(c *comeback) time.Duration { return c.online })), spread(f.phones(func(c *comeback) time.Duration { return c.rang })))
	last := slices.MaxFunc(f.members, func(a, b *member) int { return cmp.Compare(a.back, b.back) })
	fmt.Fprintf(&b, "the last was %s: online after %s, back after %s\n", last.Name(), seconds(last.online), seconds(last.back))
	var start time.Duration
	for _, m := range f.members {
		start += m.start
		for _, why := range m.vain {
			fmt.Fprintf(&b, "in vain: %s\n", why)
		}
	}
	n := float64(len(f.members))
	fmt.Fprintf(&b, "processor per node: %.0f ms of the restart, of them %.0f ms to start a process", millis(f.spent())/n, millis(start)/n)
	return b.String()
}

// peak is the most that a bootstrap node showed while it was watched.
type peak struct {
	load     float64
	refusals uint64
	storm    bool
}

// watch looks at the status of daemons again and again until it is told to stop; they
// may be down.
func watch(all []*harness.Daemon) (end func() []peak) {
	ctx, stop := context.WithCancel(context.Background())
	peaks := make([]peak, len(all))
	var wg sync.WaitGroup
	for i, d := range all {
		wg.Go(func() {
			tick := time.NewTicker(250 * time.Millisecond) // load is of a second
			defer tick.Stop()
			for ctx.Err() == nil {
				var s harness.Status
				if d.Request(http.MethodGet, "/status", nil, &s) == nil {
					p := &peaks[i]
					p.load, p.refusals, p.storm = max(p.load, s.Overlay.Load), max(p.refusals, s.Overlay.Refusals), p.storm || s.Overlay.Storm
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return func() []peak {
		stop()
		wg.Wait()
		return peaks
	}
}
