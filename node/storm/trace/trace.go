// Package trace writes down what goes into a node's storm policy and what comes out
// of it, and feeds it to the policy again: the same inputs must lead to the same
// decisions, byte for byte, wherever the policy runs. It is as pure as the policy.
//
// A trace is text, one JSON object a line. The first line names the format and its
// version. Each other line is one call of the policy: the moment and all that the
// policy was told, then the random numbers that it drew and what it decided. Peers
// are numbered in the order in which they come up, and of the network of an asker
// there are twelve bits of a hash: a trace does not say who was where.
//
// Constants are not in it, but for those that the node's program sets itself: a
// policy whose constants have changed decides otherwise, and that is to be seen.
package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/peerd/peerd/node/storm"
)

const (
	// Version of the format. Other versions are refused.
	Version = 1
	format  = "peerd-storm-trace"
	// maxLine bounds a line in bytes, and maxEntries the lines: a recorder stops there.
	maxLine    = 1 << 16
	maxEntries = 1 << 20
	// prefixBits is how much of a network's hash is kept. The policy sorts networks
	// into fewer places, by the lowest bits.
	prefixBits = 12
)

// ErrFormat: a file is no trace, or none that this version understands.
var ErrFormat = errors.New("bad storm trace")

// header is the first line.
type header struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

// What is called: the events of a joiner have names of their own.
const (
	doStart    = "start"    // of a joiner
	doOpen     = "open"     // of a gate
	doAsked    = "asked"    // a question reached the gate
	doSpent    = "spent"    // work that nobody asked about
	doFinished = "finished" // work that was let in is done
	doMissed   = "missed"   // who was told to come did not
	doJoined   = "joined"   // at the gate: a peer came in
	doLeft     = "left"     // at the gate: a peer is gone
	doSaw      = "saw"      // the role: an answer
	doPromote  = "promote"  // the role: whether to serve
)

// entry is one line after the first. Times are in nanoseconds; moments count from
// the start of the recording node.
type entry struct {
	At storm.Moment `json:"at"`
	Do string       `json:"do"`

	Config    json.RawMessage `json:"config,omitempty"`  // what differs from the defaults
	Without   []string        `json:"without,omitempty"` // mechanisms that are off
	Cached    []uint32        `json:"cached,omitempty"`
	Near      []uint32        `json:"near,omitempty"`
	Bootstrap []uint32        `json:"bootstrap,omitempty"`

	Peer   uint32       `json:"peer,omitempty"`
	Peers  []uint32     `json:"peers,omitempty"`
	Answer *decision    `json:"answer,omitempty"`
	Class  *storm.Class `json:"class,omitempty"`
	Prefix uint64       `json:"prefix,omitempty"`
	Slot   storm.Moment `json:"slot,omitempty"`
	Serves bool         `json:"serves,omitempty"`
	Ticket bool         `json:"ticket,omitempty"`
	Gift   bool         `json:"gift,omitempty"`
	Quiet  bool         `json:"quiet,omitempty"`
	Cost   storm.Moment `json:"cost,omitempty"`
	// Refused: what the role saw was a refusal.
	Refused bool `json:"refused,omitempty"`

	Drawn   []float64  `json:"drawn,omitempty"`
	Decided []decision `json:"decided,omitempty"`
}

// decision is an action of a joiner, an answer of a gate, or a role's to serve.
type decision struct {
	Do     string       `json:"do"`
	Peer   uint32       `json:"peer,omitempty"`
	Class  *storm.Class `json:"class,omitempty"`
	At     storm.Moment `json:"at,omitempty"`
	Slot   storm.Moment `json:"slot,omitempty"`
	Delay  storm.Moment `json:"delay,omitempty"`
	Refer  []uint32     `json:"refer,omitempty"`
	Uptime storm.Moment `json:"uptime,omitempty"`
	Load   float32      `json:"load,omitempty"`
}

// serve is what a role decides where it does.
const serve = "serve"

func eventName(k storm.EventKind) string { return name(k, eventNames()) }

func eventNames() []string {
	return []string{
		storm.Started: "started", storm.Answered: "answered", storm.Connected: "connected", storm.Refused: "refused",
		storm.Lost: "lost", storm.Found: "found", storm.Stored: "stored", storm.Unstored: "unstored",
		storm.Met: "met", storm.Changed: "changed", storm.Grown: "grown", storm.Tick: "tick",
	}
}

func actionName(k storm.ActionKind) string {
	return name(k, []string{
		storm.Ask: "ask", storm.Offer: "offer", storm.Dial: "dial", storm.Find: "find", storm.Store: "store", storm.WaitUntil: "wait-until",
	})
}

func verdictNames() []string {
	return []string{storm.Silent: "silent", storm.Wait: "wait", storm.Come: "come"}
}

// name is the number itself where the policy has more than this version knows.
func name[K ~uint8](k K, names []string) string {
	if int(k) < len(names) {
		return names[k]
	}
	return strconv.Itoa(int(k))
}

// without lists the mechanisms that are off.
func without(o storm.Options) (names []string) {
	for i, n := range storm.Mechanisms() {
		if !o.Has(storm.Mechanism(i)) {
			names = append(names, n)
		}
	}
	return names
}

// offField is the field of a config that stands in "without".
const offField = "Off"

// changes lists, by name, the fields of a config that are not as usual; nil is none.
// Which fields there are is the policy's affair.
func changes(cfg, usual any) (json.RawMessage, error) {
	now, err := fields(cfg)
	if err != nil {
		return nil, err
	}
	before, err := fields(usual)
	if err != nil {
		return nil, err
	}
	for name, value := range now {
		if name == offField || string(value) == string(before[name]) {
			delete(now, name)
		}
	}
	if len(now) == 0 {
		return nil, nil
	}
	return json.Marshal(now)
}

func fields(cfg any) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	var list map[string]json.RawMessage
	return list, json.Unmarshal(text, &list)
}

// change makes in cfg, a pointer to a config, the changes that a trace lists.
func change(cfg any, text json.RawMessage) error {
	if len(text) == 0 {
		return nil
	}
	if err := strict(text, cfg); err != nil {
		return err
	}
	if negative(reflect.ValueOf(cfg).Elem()) {
		return fmt.Errorf("%w: a constant below 0", ErrFormat)
	}
	return nil
}

// negative says that a number anywhere in a config is below zero.
func negative(v reflect.Value) bool {
	switch {
	case v.CanInt():
		return v.Int() < 0
	case v.CanFloat():
		return v.Float() < 0
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if negative(v.Field(i)) {
				return true
			}
		}
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			if negative(v.Index(i)) {
				return true
			}
		}
	}
	return false
}
