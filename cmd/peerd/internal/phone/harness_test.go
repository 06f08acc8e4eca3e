//go:build cgo

package phone

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerd/peerd/audio"
	"github.com/peerd/peerd/audio/clockcard"
	"github.com/peerd/peerd/audio/opus"
	"github.com/peerd/peerd/audio/pureopus"
	"github.com/peerd/peerd/node"
	"github.com/peerd/peerd/node/identity"
)

// patience is how long a test waits for something that takes milliseconds: the
// machine may be busy.
const patience = 30 * time.Second

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// must stops the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// card is a sound card whose microphone hears one pitch and whose loudspeaker
// remembers how loud it played each pitch.
type card struct {
	pitch     float64 // Hz
	exclusive bool    // serves one call at a time

	mu     sync.Mutex
	broken error   // what Open returns
	open   int     // streams open now
	opened int     // streams ever opened
	played []int16 // of all streams
}

func (d *card) Name() string { return "test card" }

func (d *card) Open(play audio.Player) (audio.Stream, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.broken != nil:
		return nil, d.broken
	case d.exclusive && d.open > 0:
		return nil, audio.ErrBusy
	}
	d.open++
	d.opened++
	return clockcard.Open(time.Now(), play, &pitchMic{pitch: d.pitch}, d, func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open--
		return nil
	}), nil
}

// Play implements clockcard.Loudspeaker.
func (d *card) Play(pcm []int16) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.played = append(d.played, pcm...)
}

// forgetPlayed begins a new recording.
func (d *card) forgetPlayed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.played = nil
}

// silent reports whether nothing was played in the last 400 ms, at least.
func (d *card) silent() bool { return d.tail() != nil && loudness(d.tail()) < 50 }

// hears reports whether the last 400 ms are mostly this pitch.
func (d *card) hears(pitch float64) bool {
	pcm := d.tail()
	return pcm != nil && loudness(pcm) > 300 && tone(pcm, pitch) > 0.5
}

func (d *card) tail() []int16 {
	const n = audio.SampleRate * 4 / 10
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.played) < n {
		return nil
	}
	return append([]int16(nil), d.played[len(d.played)-n:]...)
}

func (d *card) streams() (open, ever int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open, d.opened
}

func (d *card) breaks(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = err
}

type pitchMic struct {
	pitch float64
	n     int
}

func (m *pitchMic) Capture(pcm []int16) {
	for i := range pcm {
		pcm[i] = int16(8000 * math.Sin(2*math.Pi*m.pitch*float64(m.n)/audio.SampleRate))
		m.n++
	}
}

// loudness is the root mean square.
func loudness(pcm []int16) float64 {
	sum := 0.0
	for _, s := range pcm {
		sum += float64(s) * float64(s)
	}
	return math.Sqrt(sum / float64(len(pcm)))
}

// tone is the share of the energy at one pitch (Goertzel), about 0..1.
func tone(pcm []int16, pitch float64) float64 {
	var s1, s2, sum float64
	w := 2 * math.Cos(2*math.Pi*pitch/audio.SampleRate)
	for _, x := range pcm {
		s1, s2 = float64(x)+w*s1-s2, s1
		sum += float64(x) * float64(x)
	}
	return 2 * (s1*s1 + s2*s2 - w*s1*s2) / (sum * float64(len(pcm)))
}

// tel is a phone under test.
type tel struct {
	*Phone
	t         *testing.T
	card      *card
	id        *identity.Identity
	known     atomic.Int64 // decoders made for people we know
	strangers atomic.Int64 // and for strangers
}

// pitches of the microphones, by number of the phone.
var pitches = []float64{440, 640, 840, 1040}

func newTel(t *testing.T, i int, bootstrap []string, change func(*Config)) *tel {
	t.Helper()
	name := []string{"alice", "bob", "carol", "dave"}[i]
	id, _, err := identity.New(name, nil)
	must(t, err)
	p := &tel{t: t, id: id, card: &card{pitch: pitches[i]}}
	level := slog.LevelError + 4
	if os.Getenv("PEERD_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("phone", name)
	role := node.RoleClient
	if bootstrap == nil {
		role = node.RoleServer
	}
	cfg := Config{
		Dir: t.TempDir(), Identity: id, Answer: AnswerAsk, Device: p.card, Log: log,
		Node: node.Config{
			Dir: t.TempDir(), Role: role, Bootstrap: bootstrap, Memory: true, RelayPort: -1,
			Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"},
		},
		Encoder: func() (audio.Encoder, error) { return opus.NewEncoder() },
		Decoder: func() (audio.Decoder, error) { p.known.Add(1); return opus.NewDecoder() },
		StrangerDecoder: func() (audio.Decoder, error) {
			p.strangers.Add(1)
			return pureopus.NewDecoder()
		},
		SaveIdentity: func() error { return nil },
	}
	if change != nil {
		change(&cfg)
	}
	p.Phone, err = Open(context.Background(), cfg)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

// tels starts n phones that are each other's contacts, and waits until they
// are logged in.
func tels(t *testing.T, n int, change func(i int, cfg *Config)) []*tel {
	t.Helper()
	all := strangers(t, n, change)
	for _, p := range all {
		for _, q := range all {
			if p != q {
				p.knows(q)
			}
		}
	}
	return all
}

// strangers starts n phones without contacts.
func strangers(t *testing.T, n int, change func(i int, cfg *Config)) []*tel {
	t.Helper()
	var all []*tel
	var bootstrap []string
	for i := range n {
		p := newTel(t, i, bootstrap, func(cfg *Config) {
			if change != nil {
				change(i, cfg)
			}
		})
		if i == 0 {
			bootstrap = p.Status().Addresses
		}
		all = append(all, p)
	}
	for _, p := range all {
		p.online()
	}
	return all
}

func (p *tel) online() {
	p.t.Helper()
	eventually(p.t, p.id.Name()+" online", func() bool { return p.Status().State == "online" })
}

func (p *tel) knows(q *tel) {
	p.t.Helper()
	must(p.t, p.AddContact(q.id.Name(), q.Link()))
}

// calls dials and returns the call's id.
func (p *tel) calls(q *tel) string {
	p.t.Helper()
	id, err := p.Dial(q.id.Name())
	must(p.t, err)
	return id
}

func (p *tel) liveOnes() []Call {
	var live []Call
	for _, c := range p.Calls() {
		if c.Live() {
			live = append(live, c)
		}
	}
	return live
}

// in waits until a call is in a state, and returns it.
func (p *tel) in(id string, state CallState) Call {
	p.t.Helper()
	var c Call
	defer func() {
		if p.t.Failed() && c.State != state {
			p.t.Logf("%s: call is %+v", p.id.Name(), c)
		}
	}()
	eventually(p.t, fmt.Sprintf("%s: call is %s", p.id.Name(), state), func() bool {
		var err error
		c, err = p.Call(id)
		return err == nil && c.State == state
	})
	return c
}

// ended waits for the end of a call and holds its reason against what it should be.
func (p *tel) ended(id, reason, by string) Call {
	p.t.Helper()
	c := p.in(id, StateEnded)
	if c.EndReason != reason || by != "" && c.EndedBy != by {
		p.t.Errorf("%s: call ended %q by %q (%s), want %q by %q", p.id.Name(), c.EndReason, c.EndedBy, c.Error, reason, by)
	}
	return c
}

// talk brings a call up between two phones; the ids are of p and of q.
func (p *tel) talk(q *tel) (string, string) {
	p.t.Helper()
	mine := p.calls(q)
	theirs := q.ringing()
	must(p.t, q.Answer(theirs.ID))
	p.in(mine, StateActive)
	q.in(theirs.ID, StateActive)
	return mine, theirs.ID
}

// ringing waits for an incoming call that rings.
func (p *tel) ringing() Call {
	p.t.Helper()
	var c Call
	eventually(p.t, p.id.Name()+" rings", func() bool {
		for _, c = range p.liveOnes() {
			if c.Direction == Incoming && c.State == StateRinging && !c.Rung.IsZero() {
				return true
			}
		}
		return false
	})
	return c
}
