package stormlab

import (
	"cmp"
	"context"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestQueueIsInOrder(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	var q queue
	last := time.Duration(0)
	for i := range 20_000 {
		if i%3 != 2 || len(q.heap) == 0 {
			q.push(event{at: last + time.Duration(rnd.Int64N(1000))})
			continue
		}
		e := q.pop()
		if e.at < last {
			t.Fatalf("%v after %v", e.at, last)
		}
		last = e.at
	}
}

func TestClosestAreTheClosest(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	var ids []uint32
	keys := map[uint32]uint32{}
	for i := range uint32(500) {
		ids = append(ids, i)
		keys[i] = rnd.Uint32()
	}
	k := newKeyspace(ids, func(id uint32) uint32 { return keys[id] })
	in := map[uint32]bool{}
	for range 300 {
		id := rnd.Uint32N(500)
		in[id] = !in[id]
		k.set(id, in[id])
		key := rnd.Uint32()
		var want []uint32
		for id, is := range in {
			if is {
				want = append(want, id)
			}
		}
		slices.SortFunc(want, func(a, b uint32) int { return cmp.Compare(keys[a]^key, keys[b]^key) })
		want = want[:min(8, len(want))]
		if got := k.closest(key, 8, nil); !slices.Equal(got, want) {
			t.Fatalf("closest %v, want %v", got, want)
		}
	}
}

func TestGrowthBound(t *testing.T) {
	t.Parallel()
	m := DefaultModel()
	last := time.Duration(0)
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		b := m.GrowthBound(n)
		if b <= last || b > 20*time.Second {
			t.Errorf("bound of %d nodes is %v, of a tenth %v", n, b, last)
		}
		last = b
	}
}

func TestPictureShowsEachPolicy(t *testing.T) {
	t.Parallel()
	var results []Result
	for _, p := range PolicyNames() {
		results = append(results, simulate(t, Options{Scenario: "warm", Policy: p, Nodes: 300, Seed: 1}))
	}
	path := filepath.Join(t.TempDir(), "storm.png")
	if err := Draw(path, results); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	tones := map[[3]uint8]bool{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			r, g, b, _ := img.At(x, y).RGBA()
			tones[[3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}] = true
		}
	}
	for _, want := range [][3]uint8{{0x1f, 0x4e, 0x79}, {0xe0, 0x8a, 0x2c}} {
		if !tones[want] {
			t.Errorf("no line in colour %x", want)
		}
	}
}

func simulate(t *testing.T, o Options) Result {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 1000
	}
	if o.Policy == "" {
		o.Policy = string(Ours)
	}
	if o.Model == (Model{}) {
		o.Model = DefaultModel()
	}
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestARunRepeats(t *testing.T) {
	t.Parallel()
	a := simulate(t, Options{Scenario: "skype-2007", Seed: 5})
	b := simulate(t, Options{Scenario: "skype-2007", Seed: 5})
	c := simulate(t, Options{Scenario: "skype-2007", Seed: 6})
	if a.T99 != b.T99 || a.AttemptsPerSuccess != b.AttemptsPerSuccess {
		t.Error("two runs of one seed differ")
	}
	if a.AttemptsPerSuccess == c.AttemptsPerSuccess {
		t.Error("two seeds give the same run")
	}
}

func TestARunCanBeStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, Options{Nodes: 1000, Scenario: "warm", Policy: string(Ours), Model: DefaultModel()}); err == nil {
		t.Error("a cancelled run gave a result")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	good := Options{Nodes: 100, Scenario: "warm", Policy: string(Ours)}
	for _, change := range []func(*Options){
		func(o *Options) { o.Nodes = 1 },
		func(o *Options) { o.Scenario = "tea" },
		func(o *Options) { o.Policy = "hope" },
		func(o *Options) { o.Without = []string{"luck"} },
		func(o *Options) { o.Policy, o.Without = string(FixedRetry), []string{"slots"} },
	} {
		o := good
		if change(&o); o.Check() == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
