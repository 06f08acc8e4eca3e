// Package demo shows that peerd works, on one machine and by itself: it starts
// an overlay of five daemons, each a process of its own, lets one call another by
// name, sends real speech both ways through an encrypted call, records what each
// loudspeaker plays, and measures how like it is to what was spoken.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ErrFailed is wrapped by the error of a demonstration that ran to its end but
// in which the call was not good enough; the Report says why.
var ErrFailed = errors.New("the demonstration failed")

// Options say how a demonstration is run.
type Options struct {
	Program  string    // the peerd to start; empty is the running one
	Out      string    // directory for recordings, logs and picture; empty is "demo-out"
	Speech   string    // WAV file that alice speaks; empty is the embedded one
	Progress io.Writer // told what goes on; not the place for JSON
}

// Bounds of the parts of a demonstration; none is waited for in full.
const (
	loginTime  = 60 * time.Second
	callTime   = 30 * time.Second // to set the call up, and to end it
	afterTalk  = 500 * time.Millisecond
	everyNow   = 3 * time.Second // progress while they talk
	defaultOut = "demo-out"
)

// Run shows everything and returns what it measured. All daemons are gone when
// it returns, whatever happened; recordings and logs stay in the directory Out.
// The error wraps ErrFailed when the report is complete but not good.
func Run(ctx context.Context, o Options) (Report, error) {
	s, err := newStage(ctx, o)
	if err != nil {
		return Report{}, err
	}
	r, err := s.perform()
	err = errors.Join(err, s.clear())
	if err != nil {
		return r, err
	}
	if err := s.measure(&r); err != nil {
		return r, err
	}
	if !r.OK {
		return r, fmt.Errorf("%w: %s", ErrFailed, r.Problems[0])
	}
	return r, nil
}

// stage is where a demonstration takes place.
type stage struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	program string
	out     string // absolute
	homes   string // temporary directory with the daemons' homes
	began   time.Time
	spoken  [2]speech // by alice and by bob

	printing sync.Mutex
	progress io.Writer

	watching sync.WaitGroup
	daemons  []*daemon
}

func newStage(ctx context.Context, o Options) (*stage, error) {
	s := &stage{program: o.Program, progress: o.Progress, began: time.Now()}
	if s.progress == nil {
		s.progress = io.Discard
	}
	if o.Out == "" {
		o.Out = defaultOut
	}
	if err := s.prepare(o); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	return s, nil
}

// prepare finds the program, the speech and the directories.
func (s *stage) prepare(o Options) (err error) {
	if s.program == "" {
		if s.program, err = os.Executable(); err != nil {
			return fmt.Errorf("find the running program: %w", err)
		}
	}
	if s.out, err = filepath.Abs(o.Out); err != nil {
		return err
	}
	if strings.Contains(s.out+o.Speech, ",") {
		return fmt.Errorf("%s, %s: the names of files must have no comma, which stands between two of them in --audio", s.out, o.Speech)
	}
	if err = os.MkdirAll(s.logs(), 0o755); err != nil {
		return fmt.Errorf("make the directory for recordings (choose another with --out): %w", err)
	}
	if err = s.forget(); err != nil {
		return err
	}
	if s.spoken, err = voices(s.out, o.Speech); err != nil {
		return err
	}
	s.homes, err = shortTempDir()
	return err
}

// forget removes the results of an earlier demonstration: should this one fail,
// they must not be taken for its own.
func (s *stage) forget() error {
	for _, old := range []string{s.heard("alice"), s.heard("bob"), s.picture()} {
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove an earlier result: %w", err)
		}
	}
	return nil
}

func (s *stage) picture() string { return filepath.Join(s.out, "demo.png") }

func (s *stage) logs() string { return filepath.Join(s.out, "logs") }

// voices returns what alice and bob say.
func voices(out, file string) (v [2]speech, err error) {
	if file != "" {
		v[0], err = loadSpeech(file)
	} else {
		v[0], err = ownSpeech(out, "alice-spoken.wav", aliceSpeech)
	}
	if err != nil {
		return v, err
	}
	v[1], err = ownSpeech(out, "bob-spoken.wav", bobSpeech)
	return v, err
}

// shortTempDir makes a temporary directory. Where the system's place for them
// has a long name it is /tmp: the path of a unix socket has 103 bytes at most.
func shortTempDir() (string, error) {
	parent := os.TempDir()
	if len(parent) > 50 {
		parent = "/tmp"
	}
	return os.MkdirTemp(parent, "peerd-demo-")
}

// say reports progress.
func (s *stage) say(format string, args ...any) {
	s.printing.Lock()
	defer s.printing.Unlock()
	fmt.Fprintf(s.progress, "%6.2f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// perform plays the piece: log in, exchange links, call, talk, hang up.
func (s *stage) perform() (Report, error) {
	r := Report{Version: ReportVersion, Out: s.out, Problems: []string{}}
	c, err := s.raise(&r)
	if err != nil {
		return r, err
	}
	if err := errors.Join(s.introduce(c), s.neighbours(&r)); err != nil {
		return r, err
	}
	return r, s.call(c, &r)
}

// clear ends every daemon and removes their homes.
func (s *stage) clear() error {
	s.cancel(context.Canceled)
	s.watching.Wait()
	errs := make([]error, len(s.daemons))
	var all sync.WaitGroup
	for i, d := range s.daemons {
		all.Go(func() { errs[i] = d.stop() })
	}
	all.Wait()
	return errors.Join(append(errs, os.RemoveAll(s.homes))...)
}
