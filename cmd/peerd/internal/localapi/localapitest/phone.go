// Package localapitest has a telephone in memory for tests of the local API
// and of the command line: it keeps the rules of internal/phone, and its calls
// are moved by the test.
package localapitest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

// Epoch is when everything in the fake begins.
var Epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// backlog is how many events a watcher may lie behind.
const backlog = 64

// Phone is a working telephone without a network. Use New.
type Phone struct {
	mu       sync.Mutex
	status   phone.Status
	contacts map[string]phone.Contact
	calls    []phone.Call // oldest first
	devices  []phone.AccountDevice
	watchers map[chan phone.Event]struct{}
	closed   bool
	wordless bool   // answering brings no words yet
	sent     string // DTMF digits sent
}

// New makes a phone that is starting, with the contact bob.
func New() *Phone {
	p := &Phone{
		status: phone.Status{
			State: "starting", Name: "alice", Account: "aliceaccount", Device: "12D3KooWAlice",
			Addresses: []string{"/ip4/127.0.0.1/udp/4711/quic-v1/p2p/12D3KooWAlice"},
			Overlay:   phone.OverlayStatus{Peers: 0, Role: "client"},
			Login: phone.LoginStatus{Missing: []phone.Missing{
				{What: "neighbours", Since: Epoch, Why: "no node answered yet"},
			}},
			Reachable: "unknown", Answer: phone.AnswerAsk, AudioDevice: "null", Encoder: true, Started: Epoch,
		},
		contacts: map[string]phone.Contact{},
		watchers: map[chan phone.Event]struct{}{},
		devices: []phone.AccountDevice{
			{ID: "12D3KooWAlice", Name: "alice", Serial: 1, Issued: Epoch, Expires: Epoch.AddDate(1, 0, 0), This: true},
		},
	}
	p.contacts["bob"] = phone.Contact{
		Name: "bob", Account: "bobaccount", Link: "peerd:bob", Added: Epoch, Presence: "connected", Evidence: Epoch,
		Devices: []string{"12D3KooWBob"},
	}
	return p
}

// Online logs the phone in.
func (p *Phone) Online() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.State = "online"
	p.status.Overlay.Peers = 3
	p.status.Reachable = "direct"
	p.status.Login = phone.LoginStatus{Published: true, Acks: 3, Took: 420 * time.Millisecond}
	st := p.status
	p.publishLocked(phone.Event{Type: phone.EventStatus, Status: &st})
}

// SignOff lets a contact say goodbye at a time.
func (p *Phone) SignOff(name string, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.contacts[name]
	c.Presence, c.Evidence, c.SignedOff = "gone", at, true
	p.contacts[name] = c
	p.publishLocked(phone.Event{Type: phone.EventContact, Contact: &c})
}

// DelayWords lets the words of calls answered from now on come later: by Words.
func (p *Phone) DelayWords() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wordless = true
}

// Words is a change: the words have come.
func Words(c *phone.Call) { c.SAS = []string{"abandon", "ability", "able", "about"} }

// Close closes the phone as phone.Close does: calls end, then watchers.
func (p *Phone) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if c.Live() {
			p.changeLocked(c.ID, end("shutdown", "local"))
		}
	}
	p.closed = true
	for ch := range p.watchers {
		delete(p.watchers, ch)
		close(ch)
	}
}

// Ring lets a stranger's or a contact's call come in and returns its id.
func (p *Phone) Ring(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addLocked(phone.Call{
		Direction: phone.Incoming, State: phone.StateRinging, Rung: Epoch, Ring: time.Millisecond,
		Remote: p.remoteLocked(name),
	})
}

// Change moves a call as the network would.
func (p *Phone) Change(id string, change func(*phone.Call)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changeLocked(id, change)
}

// RemoteRinging is a change: it rings there.
func RemoteRinging(c *phone.Call) {
	c.State, c.Rung = phone.StateRinging, Epoch.Add(time.Second)
	c.Lookup, c.Ring = 12*time.Millisecond, 34*time.Millisecond
	Words(c)
}

// RemoteAnswered is a change: they talk.
func RemoteAnswered(c *phone.Call) {
	c.State, c.Answered = phone.StateActive, time.Now()
	c.Path, c.AnswerToAudio = "direct", 56*time.Millisecond
	Words(c)
}

// RemoteEnded is a change: the call ends for the reason, over there.
func RemoteEnded(reason string) func(*phone.Call) { return end(reason, "remote") }

func end(reason, by string) func(*phone.Call) {
	return func(c *phone.Call) {
		c.State, c.EndReason, c.EndedBy, c.Ended = phone.StateEnded, reason, by, time.Now()
		if !c.Answered.IsZero() {
			c.Duration = c.Ended.Sub(c.Answered)
			c.Stats = phone.Stats{PacketsSent: 500, PacketsReceived: 499, PacketsLost: 1, ConcealedRatio: 0.002}
		}
	}
}

// Press lets the other end of a call press a key.
func (p *Phone) Press(id, digit string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.indexLocked(id)
	p.calls[i].Digits += digit
	c := p.calls[i]
	p.publishLocked(phone.Event{Type: phone.EventDTMF, Call: &c, Digit: digit})
}

// SentDigits returns the digits sent so far.
func (p *Phone) SentDigits() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// Watchers returns how many subscriptions are open.
func (p *Phone) Watchers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.watchers)
}

// The methods below are those of localapi.Phone.

func (p *Phone) Status() phone.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.status
	for _, c := range p.calls {
		if c.Live() {
			st.LiveCalls++
		}
	}
	return st
}

func (p *Phone) Link() string { return "peerd:alice" }

func (p *Phone) Contacts() []phone.Contact {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []phone.Contact
	for _, c := range p.contacts {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b phone.Contact) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (p *Phone) AddContact(name, link string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if strings.TrimSpace(name) == "" || len(name) > 64 {
		return fmt.Errorf("add %q: %w", name, phone.ErrBadName)
	}
	if link == p.Link() {
		return fmt.Errorf("add %q: %w", name, phone.ErrOwnLink)
	}
	c, known := p.contacts[name]
	if known && c.Link != link {
		return fmt.Errorf("add %q: %w", name, phone.ErrContactExists)
	}
	if !known {
		c = phone.Contact{Name: name, Account: strings.TrimPrefix(link, "peerd:") + "account", Link: link, Added: Epoch, Presence: "unknown"}
	}
	c.Blocked = false
	p.contacts[name] = c
	p.publishLocked(phone.Event{Type: phone.EventContact, Contact: &c})
	return nil
}

func (p *Phone) RemoveContact(name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, known := p.contacts[name]
	if !known {
		return fmt.Errorf("remove %q: %w", name, phone.ErrNoSuchContact)
	}
	delete(p.contacts, name)
	p.publishLocked(phone.Event{Type: phone.EventContactRemoved, Contact: &c})
	return nil
}

func (p *Phone) BlockContact(name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, known := p.contacts[name]
	if !known {
		return fmt.Errorf("block %q: %w", name, phone.ErrNoSuchContact)
	}
	c.Blocked = true
	p.contacts[name] = c
	p.publishLocked(phone.Event{Type: phone.EventContact, Contact: &c})
	return nil
}

func (p *Phone) Calls() []phone.Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := slices.Clone(p.calls)
	slices.Reverse(out)
	return out
}

func (p *Phone) Call(id string) (phone.Call, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.indexLocked(id)
	if i < 0 {
		return phone.Call{}, fmt.Errorf("call %q: %w", id, phone.ErrNoSuchCall)
	}
	return p.calls[i], nil
}

func (p *Phone) Dial(who string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", phone.ErrClosed
	}
	if _, known := p.contacts[who]; !known && !strings.HasPrefix(who, "peerd:") {
		return "", fmt.Errorf("call %q: %w", who, phone.ErrNoSuchContact)
	}
	return p.addLocked(phone.Call{Direction: phone.Outgoing, State: phone.StateDialing, Remote: p.remoteLocked(who)}), nil
}

func (p *Phone) Answer(id string) error {
	return p.verb(id, phone.StateRinging, func(c *phone.Call) {
		RemoteAnswered(c)
		if p.wordless {
			c.SAS = nil
		}
	})
}

func (p *Phone) Reject(id string) error {
	return p.verb(id, phone.StateRinging, end("declined", "local"))
}

func (p *Phone) Hangup(id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.indexLocked(id)
	if i < 0 || !p.calls[i].Live() {
		return fmt.Errorf("hang up: %w", phone.ErrWrongState)
	}
	reason := "hangup"
	if p.calls[i].Answered.IsZero() {
		reason = "cancelled"
	}
	p.changeLocked(id, end(reason, "local"))
	return nil
}

func (p *Phone) Hold(id string) error {
	return p.verb(id, phone.StateActive, func(c *phone.Call) { c.Held, c.State = true, phone.StateHeld })
}

func (p *Phone) Resume(id string) error {
	return p.verb(id, phone.StateHeld, func(c *phone.Call) { c.Held, c.State = false, phone.StateActive })
}

func (p *Phone) Mute(id string) error {
	return p.verb(id, "", func(c *phone.Call) { c.Muted = true })
}

func (p *Phone) Unmute(id string) error {
	return p.verb(id, "", func(c *phone.Call) { c.Muted = false })
}

func (p *Phone) DTMF(id, digits string) error {
	if digits == "" || strings.Trim(digits, "0123456789*#ABCD") != "" {
		return fmt.Errorf("send %q: %w", digits, phone.ErrBadDigits)
	}
	return p.verb(id, phone.StateActive, func(*phone.Call) { p.sent += digits })
}

func (p *Phone) Devices() []phone.AccountDevice {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.devices)
}

func (p *Phone) AddDevice(request string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name, ok := strings.CutPrefix(request, "peerd-device:")
	if !ok {
		return "", fmt.Errorf("%q is no device request", request)
	}
	p.devices = append(p.devices, phone.AccountDevice{ID: name, Name: name, Serial: 2, Issued: Epoch, Expires: Epoch.AddDate(1, 0, 0)})
	return "peerd-grant:" + name, nil
}

func (p *Phone) RevokeDevice(id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.devices {
		if p.devices[i].ID == id {
			p.devices[i].Revoked = true
			return nil
		}
	}
	return fmt.Errorf("revoke %q: %w", id, phone.ErrNoSuchDevice)
}

func (p *Phone) AudioDevices() ([]phone.AudioDevice, error) {
	return []phone.AudioDevice{{Spec: "null", Description: "silence", Input: true, Output: true, Current: true}}, nil
}

func (p *Phone) Subscribe() (<-chan phone.Event, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ch := make(chan phone.Event, backlog)
	if p.closed {
		close(ch)
		return ch, func() {}
	}
	p.watchers[ch] = struct{}{}
	return ch, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.dropLocked(ch)
	}
}

func (p *Phone) verb(id string, in phone.CallState, change func(*phone.Call)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.indexLocked(id)
	if i < 0 {
		return fmt.Errorf("call %q: %w", id, phone.ErrNoSuchCall)
	}
	if !p.calls[i].Live() || in != "" && p.calls[i].State != in {
		return fmt.Errorf("call %q is %s: %w", id, p.calls[i].State, phone.ErrWrongState)
	}
	p.changeLocked(id, change)
	return nil
}

func (p *Phone) addLocked(c phone.Call) string {
	c.ID = fmt.Sprintf("%02x%030x", len(p.calls)+16, 0)
	c.Started = Epoch
	p.calls = append(p.calls, c)
	p.publishLocked(phone.Event{Type: phone.EventCall, Call: &c})
	return c.ID
}

func (p *Phone) changeLocked(id string, change func(*phone.Call)) {
	i := p.indexLocked(id)
	change(&p.calls[i])
	c := p.calls[i]
	p.publishLocked(phone.Event{Type: phone.EventCall, Call: &c})
}

func (p *Phone) remoteLocked(who string) phone.Remote {
	c, known := p.contacts[who]
	if !known {
		return phone.Remote{Account: "strangeaccount", Device: "12D3KooWStrange", Name: who, Stranger: true}
	}
	return phone.Remote{Account: c.Account, Device: "12D3KooWBob", Name: c.Name}
}

func (p *Phone) indexLocked(id string) int {
	return slices.IndexFunc(p.calls, func(c phone.Call) bool { return id != "" && strings.HasPrefix(c.ID, id) })
}

func (p *Phone) publishLocked(e phone.Event) {
	e.At = time.Now()
	for ch := range p.watchers {
		select {
		case ch <- e:
		default:
			p.dropLocked(ch)
		}
	}
}

func (p *Phone) dropLocked(ch chan phone.Event) {
	if _, open := p.watchers[ch]; open {
		delete(p.watchers, ch)
		close(ch)
	}
}
