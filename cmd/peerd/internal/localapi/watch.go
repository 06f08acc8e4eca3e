package localapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Watch is an open event stream.
type Watch struct {
	body io.Closer
	scan *bufio.Scanner
}

// Watch opens the event stream. Its first event is EventState, the whole
// present state; after that come the changes. The stream ends when ctx does.
func (c *Client) Watch(ctx context.Context) (*Watch, error) {
	resp, err := c.send(ctx, http.MethodGet, "/events", nil)
	if err != nil {
		return nil, err
	}
	scan := bufio.NewScanner(resp.Body)
	scan.Buffer(nil, MaxLine)
	return &Watch{body: resp.Body, scan: scan}, nil
}

// Next waits for the next event. After EventLost or EventClosed, and when the
// daemon dies, it returns io.EOF; a new Watch begins with the present state.
func (w *Watch) Next() (Event, error) {
	if !w.scan.Scan() {
		if err := w.scan.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return Event{}, fmt.Errorf("reading events: %w", err)
		}
		return Event{}, io.EOF
	}
	var e Event
	if err := json.Unmarshal(w.scan.Bytes(), &e); err != nil {
		return Event{}, fmt.Errorf("reading events: %w", err)
	}
	return e, nil
}

// Close ends the stream.
func (w *Watch) Close() error { return w.body.Close() }
