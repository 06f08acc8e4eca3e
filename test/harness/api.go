package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
)

// API sends one request to the daemon's local API, as docs/api.md tells, and
// decodes the answer into what is not nil. Tests of very many calls use it: a
// process for each command would cost more than the calls.
func (d *Daemon) API(t testing.TB, method, path string, body, into any) {
	t.Helper()
	if err := d.Request(method, path, body, into); err != nil {
		t.Fatalf("%s: %s %s: %v", d.opt.Name, method, path, err)
	}
}

// Request is API for whoever expects that it can fail, and for other
// goroutines than the test's. It opens a connection of its own, so that none is
// left open in the daemon.
func (d *Daemon) Request(method, path string, body, into any) error {
	client := d.client()
	client.Timeout = patience
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, "http://peerd/v1"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode >= 300 {
		return fmt.Errorf("%s: %s (%w)", answer.Status, text, err)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// client speaks to the daemon's socket; every request has a connection of its own.
func (d *Daemon) client() *http.Client {
	var dialer net.Dialer
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", filepath.Join(d.Home, "peerd.sock"))
		},
	}}
}

// events opens the daemon's event stream; it ends with ctx.
func (d *Daemon) events(ctx context.Context) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://peerd/v1/events", nil)
	if err != nil {
		return nil, err
	}
	answer, err := d.client().Do(req)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("event stream: %s", answer.Status)
	}
	return answer.Body, nil
}

// Dial calls somebody and returns the id of the call at once.
func (d *Daemon) Dial(t testing.TB, who string) string {
	t.Helper()
	var c Call
	d.API(t, http.MethodPost, "/calls", map[string]string{"to": who}, &c)
	return c.ID
}

// Hangup ends a call.
func (d *Daemon) Hangup(t testing.TB, id string) {
	t.Helper()
	d.API(t, http.MethodPost, "/calls/"+id+"/hangup", struct{}{}, nil)
}

// Show is a call with its figures of this moment.
func (d *Daemon) Show(t testing.TB, id string) Call {
	t.Helper()
	var c Call
	d.API(t, http.MethodGet, "/calls/"+id, nil, &c)
	return c
}
