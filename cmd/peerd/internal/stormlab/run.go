package stormlab

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/peerd/peerd/node/storm"
)

// Options says what to run.
type Options struct {
	Nodes    int
	Scenario string
	Policy   string
	Without  []string
	Seed     uint64
	Model    Model
	// Change, if not nil, changes the scenario before the run.
	Change func(*Scenario)
	// Trace, if not nil, takes a trace of the policy of node Traced.
	Trace  io.Writer
	Traced uint32
	// Progress, if not nil, is told now and then how far a run is.
	Progress func(at time.Duration, back int)

	off storm.Options
}

// Result is what came out of one run. The names are a contract; they only grow.
type Result struct {
	Nodes     int      `json:"nodes"`
	Scenario  string   `json:"scenario"`
	Policy    string   `json:"policy"`
	Without   []string `json:"without,omitempty"`
	Seed      uint64   `json:"rand_seed"`
	HorizonS  float64  `json:"horizon_s"`
	T50       float64  `json:"t50_s"` // -1: not within the horizon
	T90       float64  `json:"t90_s"`
	T99       float64  `json:"t99_s"`
	T100      float64  `json:"t100_s"`
	Counted   int      `json:"counted"`
	NeverBack int      `json:"never_back"`
	// AttemptsPerSuccess counts every question for a log-in and every dial that nobody
	// asked about, to the living and to the dead, by the nodes that came back.
	// Nearly all are questions of one datagram; DialsPerSuccess counts the connections made to log in.
	AttemptsPerSuccess    float64     `json:"attempts_per_success"`
	DialsPerSuccess       float64     `json:"log_in_dials_per_success"`
	WastedPerSuccess      float64     `json:"wasted_per_success"`
	BootstrapAttemptShare float64     `json:"bootstrap_attempt_share"`
	PeakBusy              float64     `json:"peak_busy"`
	QueueP99MS            float64     `json:"queue_p99_ms"`
	Goodput               float64     `json:"goodput"` // in overloaded seconds; 1 where there were none
	CallsDropped          int         `json:"calls_dropped"`
	TurnedAway            int         `json:"turned_away"` // pieces of work that found a full line
	Calls                 int         `json:"calls"`
	LoggedOutOver5s       int         `json:"logged_out_over_5s"`
	ServersBackS          float64     `json:"servers_back_s"` // servers at 90 % of need from here on; -1 never
	Servers               int         `json:"servers"`        // at the end
	EchoLoad              float64     `json:"echo_load,omitempty"`
	RecoveredS            float64     `json:"recovered_s"`                     // from the end of an overload until all is normal; -1 never
	BoundS                float64     `json:"bound_s"`                         // the least T99 the model allows
	TookS                 float64     `json:"took_s"`                          // of this machine's time
	ProcessorMS           float64     `json:"processor_ms_per_node,omitempty"` // where all nodes share processors
	Model                 ModelResult `json:"model"`

	BackSeries, BusySeries, BootSeries []float64 `json:"-"`
}

// ModelResult is the model as printed beside each result.
type ModelResult struct {
	C0           float64 `json:"c0"`     // log-ins per second that the bootstrap nodes serve
	K            float64 `json:"k"`      // log-ins per second that one server serves
	S            float64 `json:"s"`      // share of the nodes able to serve
	Public       float64 `json:"public"` // share of the others that can be dialled
	Serving      float64 `json:"serving"`
	W            float64 `json:"w_s"`
	RTT          float64 `json:"rtt_s"`
	CostLogIn    float64 `json:"cost_login_us"`
	CostPut      float64 `json:"cost_put_us"`
	CostRefuse   float64 `json:"cost_refuse_us"`
	CostWhole    float64 `json:"cost_whole_login_us"`
	CostLookUp   float64 `json:"cost_lookup_step_us"`
	CostDialNo   float64 `json:"cost_refused_dial_us"`
	CostUnread   float64 `json:"cost_unread_us"`
	Capacity     float64 `json:"capacity_cores"`
	Loss         float64 `json:"loss"`
	DeadCache    float64 `json:"dead_cache"`
	Slow         float64 `json:"slow"`
	SlowFactor   float64 `json:"slow_factor"`
	Moved        float64 `json:"moved"`
	StartIn      float64 `json:"start_within_s"`
	LinkPerS     float64 `json:"link_datagrams_per_s"`
	BootstrapNum int     `json:"bootstrap_nodes"`

	// Of a machine whose processors all nodes share.
	Processors int                `json:"processors,omitempty"`
	Steps      map[string]float64 `json:"steps_us,omitempty"` // what each takes of one
}

func (m Model) result(dead float64) ModelResult {
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	var steps map[string]float64
	if m.Machine.Processors > 0 {
		steps = make(map[string]float64)
		for name, takes := range m.steps() {
			steps[name] = us(*takes)
		}
	}
	return ModelResult{
		Processors: m.Machine.Processors, Steps: steps,

		C0: m.C0(), K: m.K(), S: m.Able, Public: m.Public, Serving: m.Serving, W: m.WarmUp().Seconds(), RTT: m.RTT.Seconds(),
		CostLogIn: us(m.LogIn), CostPut: us(m.Put), CostRefuse: us(m.Refusal), CostWhole: us(m.perLogIn()),
		CostLookUp: us(m.LookUp), CostDialNo: us(m.RefuseDial), CostUnread: us(m.Unread), Capacity: m.Capacity,
		Loss: m.Loss, DeadCache: dead, Slow: m.Slow, SlowFactor: m.SlowFactor, Moved: m.Moved,
		StartIn: m.StartIn.Seconds(), LinkPerS: m.Link, BootstrapNum: m.Bootstrap,
	}
}

// fewest nodes make an overlay that is worth a run.
const fewest = 10

// Check says what is wrong with the options.
func (o *Options) Check() error {
	if o.Nodes < fewest || o.Nodes > 20_000_000 {
		return fmt.Errorf("%d nodes cannot be simulated: %d to 20000000 can", o.Nodes, fewest)
	}
	if _, err := FindScenario(o.Scenario); err != nil {
		return err
	}
	if !slices.Contains(PolicyNames(), o.Policy) {
		return fmt.Errorf("no policy is called %q: there are %s", o.Policy, strings.Join(PolicyNames(), ", "))
	}
	off, err := storm.Without(o.Without...)
	if err == nil && off != 0 && o.Policy != string(Ours) {
		err = fmt.Errorf("policy %s has no mechanisms to go without", o.Policy)
	}
	o.off = off
	return err
}

// Run simulates one storm.
func Run(ctx context.Context, o Options) (Result, error) {
	if err := o.Check(); err != nil {
		return Result{}, err
	}
	sc, err := FindScenario(o.Scenario)
	if err != nil {
		return Result{}, err
	}
	if o.Change != nil {
		o.Change(&sc)
	}
	began := time.Now()
	s := newSim(o, sc)
	if err := s.run(ctx, o.Progress); err != nil {
		return Result{}, err
	}
	if err := s.trace.Err(); err != nil {
		return Result{}, fmt.Errorf("storm trace: %w", err)
	}
	r := s.result()
	r.Scenario, r.Policy, r.Without, r.Seed = o.Scenario, o.Policy, o.Without, o.Seed
	r.TookS = time.Since(began).Seconds()
	return r, nil
}

func (s *sim) result() Result {
	t := &s.tally
	successes := max(float64(t.back), 1)
	r := Result{
		Nodes: len(s.nodes), HorizonS: s.scenario.Horizon.Seconds(),
		T50: t.quantile(0.5), T90: t.quantile(0.9), T99: t.quantile(0.99), T100: t.quantile(1),
		Counted: t.nodes, NeverBack: t.missing + t.relapsed,
		AttemptsPerSuccess: float64(t.attempts) / successes, DialsPerSuccess: float64(t.dials) / successes, WastedPerSuccess: float64(t.wasted) / successes,
		BootstrapAttemptShare: float64(t.toBootstrap) / max(float64(t.attempts), 1),
		QueueP99MS:            t.queueP99(), Goodput: 1,
		Calls: len(s.calls), CallsDropped: t.callsDropped, TurnedAway: t.dropped, LoggedOutOver5s: t.loggedOut,
		Servers: len(s.inside), Model: s.model.result(s.scenario.Dead),
	}
	for _, b := range t.busy {
		r.PeakBusy = max(r.PeakBusy, b)
	}
	if t.usefulMost > 0 {
		r.Goodput = min(1, float64(t.usefulWork)/float64(t.usefulMost))
	}
	r.BoundS = s.model.WarmBound().Seconds()
	if s.scenario.Cold {
		r.BoundS = s.model.GrowthBound(len(s.nodes)).Seconds()
	}
	for _, v := range t.series {
		r.BackSeries = append(r.BackSeries, float64(v))
	}
	r.BusySeries, r.BootSeries = t.busy, t.bootBusy
	if s.shared != nil {
		r.ProcessorMS = float64(s.shared.spent) / float64(time.Millisecond) / float64(len(s.nodes))
	}
	r.ServersBackS, r.EchoLoad, r.RecoveredS = s.serversBack(), s.echoLoad(), s.recovered()
	return r
}

// serversBack is the time from which on the servers are nine tenths of need: the
// log-ins asked for in a second over those that one server serves.
func (s *sim) serversBack() float64 {
	perSecond := int(time.Second / sampleEvery)
	back := 0.0
	for sec, asked := range s.tally.asked {
		i := min((sec+1)*perSecond, len(s.tally.open)) - 1
		if i < 0 {
			break
		}
		if need := float64(asked) / s.model.K(); float64(s.tally.open[i]) < 0.9*need {
			back = float64(sec + 1)
		}
	}
	return back
}

// echoLoad is the most records stored in an eighth of a publication's period, after the
// storm, over the mean.
func (s *sim) echoLoad() float64 {
	if !s.scenario.Echo {
		return 0
	}
	slot := int(s.joinerCfg.Republish / 8 / time.Minute)
	most, sum, n := 0.0, 0.0, 0
	for from := slot; from+slot <= len(s.tally.stored); from += slot {
		load := 0.0
		for _, v := range s.tally.stored[from : from+slot] {
			load += float64(v)
		}
		most, sum, n = max(most, load), sum+load, n+1
	}
	return most / max(sum/float64(max(n, 1)), 1)
}
