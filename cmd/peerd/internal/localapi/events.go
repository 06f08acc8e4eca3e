package localapi

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

// getEvents streams the present state and then every change. What waits where:
// the phone's queue for this watcher is bounded and closed when it overflows
// (the phone never waits); what was queued is still written, then a last line
// says that there was more. A watcher that takes nothing for writeTimeout is
// dropped without a last line.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) (any, error) {
	select {
	case s.watchers <- struct{}{}:
		defer func() { <-s.watchers }()
	default:
		return nil, Errorf(CodeBusy, "%d programs watch the daemon already", maxWatchers)
	}
	changes, cancel := s.phone.Subscribe() // first, so that nothing is missed
	defer cancel()
	out := &eventWriter{rc: http.NewResponseController(w), enc: json.NewEncoder(w)}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out.write(Event{Type: EventState, State: s.state()})
	for out.err == nil {
		select {
		case <-r.Context().Done():
			return nil, errStreamed
		case <-s.closing:
			out.write(Event{Type: EventClosed, Message: "the daemon is going down"})
			return nil, errStreamed
		case change, open := <-changes:
			if !open {
				out.write(s.farewell())
				return nil, errStreamed
			}
			out.write(s.event(change))
		}
	}
	s.log.Debug("watcher went away", slog.Any("err", out.err))
	return nil, errStreamed
}

// farewell is the last line for a watcher whose channel was closed by the
// phone: it was too slow, or the phone has closed and closes every new channel
// too.
func (s *Server) farewell() Event {
	ch, cancel := s.phone.Subscribe()
	defer cancel()
	select {
	case _, open := <-ch:
		if !open {
			return Event{Type: EventClosed, Message: "the daemon is going down"}
		}
	default:
	}
	return Event{Type: EventLost, Message: "read too slowly: changes were lost, watch again for the present state"}
}

// state is the first line.
func (s *Server) state() *State {
	st := &State{
		Status:   s.status(s.phone.Status()),
		Contacts: convert(s.phone.Contacts(), contact),
		Calls:    []Call{},
	}
	for _, c := range s.phone.Calls() {
		if c.Live() {
			st.Calls = append(st.Calls, call(c))
		}
	}
	return st
}

// event translates a change of the phone's.
func (s *Server) event(e phone.Event) Event {
	out := Event{Type: string(e.Type), Time: e.At, Digit: e.Digit}
	if e.Status != nil {
		st := s.status(*e.Status)
		out.Status = &st
	}
	if e.Call != nil {
		c := call(*e.Call)
		out.Call = &c
	}
	if e.Contact != nil {
		c := contact(*e.Contact)
		out.Contact = &c
	}
	return out
}

// eventWriter numbers and writes lines; after an error it writes no more.
type eventWriter struct {
	rc  *http.ResponseController
	enc *json.Encoder
	seq uint64
	err error
}

func (w *eventWriter) write(e Event) {
	if w.err != nil {
		return
	}
	w.seq++
	e.Seq = w.seq
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	_ = w.rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // a recorder in a test has none
	if w.err = w.enc.Encode(e); w.err == nil {
		w.err = w.rc.Flush()
	}
}
