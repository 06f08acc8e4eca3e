package localapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Client talks to the daemon behind one socket. It is safe for concurrent use.
type Client struct {
	socket string
	wait   time.Duration
	http   *http.Client
	ver    string
	daemon atomic.Value // string: the daemon's version, once told
}

// ClientConfig is what a Client needs.
type ClientConfig struct {
	Socket  string        // path of the daemon's unix socket
	Wait    time.Duration // how long to wait for a daemon just started; 0 is not at all
	Version string        // of the program, told in the handshake
}

// NewClient makes a client; it connects with the first request.
func NewClient(cfg ClientConfig) *Client {
	c := &Client{socket: cfg.Socket, wait: cfg.Wait, ver: cfg.Version}
	c.http = &http.Client{Transport: &http.Transport{DialContext: c.dial}}
	return c
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// DaemonVersion returns the program version that the daemon told in its last
// answer; empty before the first.
func (c *Client) DaemonVersion() string {
	v, _ := c.daemon.Load().(string)
	return v
}

// Status returns the state of the daemon.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/status")
}

// Link returns the account's contact link.
func (c *Client) Link(ctx context.Context) (Link, error) { return get[Link](ctx, c, "/link") }

// Version returns the daemon's versions.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return get[Version](ctx, c, "/version")
}

// Contacts returns the address book, by name.
func (c *Client) Contacts(ctx context.Context) ([]Contact, error) {
	return get[[]Contact](ctx, c, "/contacts")
}

// AddContact adds a contact, or unblocks it when name and link are the same.
func (c *Client) AddContact(ctx context.Context, name, link string) (Contact, error) {
	return post[Contact](ctx, c, "/contacts", AddContact{Name: name, Link: link})
}

// RemoveContact forgets a contact.
func (c *Client) RemoveContact(ctx context.Context, name string) error {
	_, err := do[struct{}](ctx, c, http.MethodDelete, "/contacts/"+url.PathEscape(name), nil)
	return err
}

// BlockContact keeps a contact and refuses its calls.
func (c *Client) BlockContact(ctx context.Context, name string) (Contact, error) {
	return post[Contact](ctx, c, "/contacts/"+url.PathEscape(name)+"/block", nil)
}

// Calls returns the calls in progress and the history, newest first, at most
// limit of them; 0 is all.
func (c *Client) Calls(ctx context.Context, limit int) ([]Call, error) {
	return get[[]Call](ctx, c, "/calls?limit="+strconv.Itoa(limit))
}

// Call returns one call; a unique beginning of its id will do.
func (c *Client) Call(ctx context.Context, id string) (Call, error) {
	return get[Call](ctx, c, "/calls/"+url.PathEscape(id))
}

// Dial begins a call to a petname or a contact link and returns at once; watch
// the events to follow it.
func (c *Client) Dial(ctx context.Context, who string) (Call, error) {
	return post[Call](ctx, c, "/calls", Dial{To: who})
}

// Control performs a verb (answer, reject, hangup, hold, resume, mute, unmute)
// on a call and returns the call after it. An empty id means the only call
// that the verb fits.
func (c *Client) Control(ctx context.Context, verb, id string) (Call, error) {
	return post[Call](ctx, c, "/calls/"+callPath(id)+"/"+verb, nil)
}

// DTMF sends digits (0-9, *, #, A-D) into a call.
func (c *Client) DTMF(ctx context.Context, id, digits string) (Call, error) {
	return post[Call](ctx, c, "/calls/"+callPath(id)+"/dtmf", DTMF{Digits: digits})
}

// Devices returns the devices of the account.
func (c *Client) Devices(ctx context.Context) ([]AccountDevice, error) {
	return get[[]AccountDevice](ctx, c, "/devices")
}

// AddDevice certifies another device from the request it printed and returns
// what is to be given back to it.
func (c *Client) AddDevice(ctx context.Context, request string) (AddedDevice, error) {
	return post[AddedDevice](ctx, c, "/devices", AddDevice{Request: request})
}

// RevokeDevice takes the certificate away from a device of the account.
func (c *Client) RevokeDevice(ctx context.Context, id string) error {
	_, err := do[struct{}](ctx, c, http.MethodDelete, "/devices/"+url.PathEscape(id), nil)
	return err
}

// AudioDevices returns the sound devices that the daemon's build can open.
func (c *Client) AudioDevices(ctx context.Context) ([]AudioDevice, error) {
	return get[[]AudioDevice](ctx, c, "/audio/devices")
}

// OnlyCall stands in a path for the only call that a verb fits.
const OnlyCall = "-"

func callPath(id string) string {
	if id == "" {
		return OnlyCall
	}
	return url.PathEscape(id)
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	return do[T](ctx, c, http.MethodGet, path, nil)
}

func post[T any](ctx context.Context, c *Client, path string, body any) (T, error) {
	return do[T](ctx, c, http.MethodPost, path, body)
}

// do performs one request and reads its answer into a T, unless there is none.
func do[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var out T
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return out, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("reading the daemon's answer to %s %s: %w", method, path, err)
	}
	return out, nil
}

// send performs one request; the caller closes the body of a 2xx answer, every
// other answer is returned as an error.
func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var rd io.Reader
	if body != nil {
		buf, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("writing the request %s %s: %w", method, path, err)
		}
		rd = bytes.NewReader(buf)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://peerd"+Prefix+path, rd)
	if err != nil {
		return nil, fmt.Errorf("making the request %s %s: %w", method, path, err)
	}
	req.Header.Set(HeaderAPI, strconv.Itoa(APIVersion))
	req.Header.Set(HeaderVersion, c.ver)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unwrapURL(err)
	}
	c.daemon.Store(resp.Header.Get(HeaderVersion))
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, readError(resp)
	}
	return resp, nil
}

// readError turns an answer that is not 2xx into an *Error.
func readError(resp *http.Response) error {
	var e Error
	if err := json.NewDecoder(io.LimitReader(resp.Body, MaxBody)).Decode(&e); err != nil || e.Message == "" {
		return Errorf(CodeInternal, "the daemon answered %q and no reason", resp.Status)
	}
	return &e
}

// unwrapURL takes net/http's "Get http://peerd/..." off an error: the address
// is not one that people know.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("%w: it went away during the request", ErrNoDaemon)
	}
	return err
}

// dialStep is how often a client looks whether a daemon just started serves.
const dialStep = 20 * time.Millisecond

// dial connects to the socket and, for as long as c.wait allows, waits until
// somebody serves it.
func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	deadline := time.Now().Add(c.wait)
	tick := time.NewTicker(dialStep)
	defer tick.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", c.socket)
		if err == nil {
			return conn, nil
		}
		if !nobodyThere(err) {
			return nil, fmt.Errorf("connecting to the daemon at %s: %w", c.socket, err)
		}
		if time.Now().After(deadline) {
			return nil, ErrNoDaemon
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// nobodyThere reports whether a dial failed because no daemon serves the
// socket: it is missing, or what served it has died.
func nobodyThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}
