package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/overlay"
	"github.com/peerd/peerd/node/presence"
)

const (
	bookVersion  = 1
	bookFile     = "contacts-book.json"
	maxBookBytes = 8 << 20
	maxKnown     = 32  // devices of one account
	maxWithdrawn = 256 // devices of one account; the newest are kept
)

var errBookVersion = errors.New("contacts book of a newer version")

// book is what is known about the contacts' devices: who they are, where they
// were last, and when we last heard from them.
type book struct {
	path string

	mu     sync.Mutex
	links  map[identity.AccountID]identity.Link // the present contacts
	people map[identity.AccountID]*person
	dirty  bool
}

type person struct {
	Seq     uint64                                 // of the newest account record seen
	Revoked []identity.DeviceID                    // withdrawn by that record or an older one
	Devices map[identity.DeviceID]*contactedDevice // verified ones only
}

type contactedDevice struct {
	Cert     identity.Certificate
	Seq      uint64    // of the newest presence record seen
	Addrs    []string  // of that record
	Expires  time.Time // of that record
	Evidence time.Time // when we last heard from the device itself; zero: never
	Gone     bool      // it said goodbye or could not be reached since
	Left     bool      // it said goodbye, at Evidence
}

// loadBook reads the book. One that cannot be read is set aside, not destroyed:
// what it held can be found again through the DHT. But a withdrawal may be seen
// late or never again, so of a newer version's book what is understood is kept.
func loadBook(dir string, log *slog.Logger) (*book, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("node directory: %w", err)
	}
	b := &book{
		path: filepath.Join(dir, bookFile), links: make(map[identity.AccountID]identity.Link),
		people: make(map[identity.AccountID]*person),
	}
	err := overlay.LoadFile(b.path, "contacts book", log, func(data []byte) error {
		people, parseErr := parseBook(data)
		if people != nil {
			b.people, b.dirty = people, parseErr != nil
		}
		return parseErr
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

type bookJSON struct {
	Version int          `json:"version"`
	People  []personJSON `json:"people"`
}

type personJSON struct {
	Seq     uint64       `json:"seq"`
	Revoked []string     `json:"revoked,omitempty"`
	Devices []deviceJSON `json:"devices"`
}

type deviceJSON struct {
	Cert     []byte   `json:"certificate"`
	Seq      uint64   `json:"seq"`
	Addrs    []string `json:"addrs"`
	Expires  int64    `json:"expires_unix"`
	Evidence int64    `json:"evidence_unix_ms"`
	Gone     bool     `json:"gone,omitempty"`
	Left     bool     `json:"left,omitempty"`
}

// parseBook reads a contacts book. Devices without a well-formed certificate are
// left out; whether a certificate is true and valid is asked at every use. With
// errBookVersion come the people of a newer version as far as they are understood.
func parseBook(data []byte) (map[identity.AccountID]*person, error) {
	if len(data) > maxBookBytes {
		return nil, fmt.Errorf("contacts book of %d bytes", len(data))
	}
	var file bookJSON
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("contacts book: %w", err)
	}
	if file.Version < bookVersion {
		return nil, fmt.Errorf("contacts book of version %d", file.Version)
	}
	people := make(map[identity.AccountID]*person)
	for _, in := range file.People {
		p := &person{Seq: in.Seq, Devices: make(map[identity.DeviceID]*contactedDevice)}
		for _, r := range in.Revoked {
			if id, err := peer.Decode(r); err == nil {
				p.Revoked = append(p.Revoked, id)
			}
		}
		for _, d := range in.Devices {
			cert, err := identity.ParseCertificate(d.Cert)
			if err != nil {
				continue
			}
			p.Devices[cert.Device] = &contactedDevice{
				Cert: cert, Seq: d.Seq, Addrs: d.Addrs, Gone: d.Gone, Left: d.Left,
				Expires: time.Unix(d.Expires, 0), Evidence: fromUnixMilli(d.Evidence),
			}
			people[cert.Account] = p
		}
	}
	if file.Version > bookVersion {
		return people, fmt.Errorf("%w: %d, this peerd reads %d", errBookVersion, file.Version, bookVersion)
	}
	return people, nil
}

func fromUnixMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// save writes the book when it has changed.
func (b *book) save() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.dirty {
		return nil
	}
	file := bookJSON{Version: bookVersion}
	for _, p := range b.people {
		file.People = append(file.People, p.json())
	}
	data, err := json.Marshal(file)
	if err == nil {
		err = overlay.WriteFileAtomic(b.path, data)
	}
	if err != nil {
		return fmt.Errorf("write the contacts book: %w", err)
	}
	b.dirty = false
	return nil
}

func (p *person) json() personJSON {
	out := personJSON{Seq: p.Seq}
	for _, r := range p.Revoked {
		out.Revoked = append(out.Revoked, r.String())
	}
	for _, d := range p.Devices {
		dj := deviceJSON{
			Cert: d.Cert.Marshal(), Seq: d.Seq, Addrs: d.Addrs, Gone: d.Gone, Left: d.Left, Expires: d.Expires.Unix(),
		}
		if !d.Evidence.IsZero() {
			dj.Evidence = d.Evidence.UnixMilli()
		}
		out.Devices = append(out.Devices, dj)
	}
	return out
}

// setContacts replaces the contacts and forgets what is known about the others.
// It returns the accounts that are new.
func (b *book) setContacts(links []identity.Link) (added []identity.Link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := make(map[identity.AccountID]identity.Link, len(links))
	for _, l := range links {
		if next[l.Account] = l; b.links[l.Account] != l {
			added = append(added, l)
		}
	}
	b.links = next
	for account := range b.people {
		if _, ok := next[account]; !ok {
			delete(b.people, account)
			b.dirty = true
		}
	}
	return added
}

func (b *book) link(account identity.AccountID) (identity.Link, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.links[account]
	return l, ok
}

func (b *book) contacts() []identity.Link {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]identity.Link, 0, len(b.links))
	for _, l := range b.links {
		list = append(list, l)
	}
	return list
}

// known is a copy of a device's entry.
type known struct {
	contactedDevice
	revoked bool
}

// devices returns the account's devices whose certificates hold now, those heard
// from last first; revoked ones are marked.
func (b *book) devices(account identity.AccountID, now time.Time) []known {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.people[account]
	if p == nil {
		return nil
	}
	var list []known
	for id, d := range p.Devices {
		if d.Cert.Account == account && d.Cert.VerifyFor(id, now) == nil {
			list = append(list, known{*d, slices.Contains(p.Revoked, id)})
		}
	}
	slices.SortFunc(list, func(a, b known) int { return b.Evidence.Compare(a.Evidence) })
	return list
}

// isRevoked reports whether an account record that was ever seen withdraws the
// device. The record itself may have expired since: nothing but a newer one that
// lists the device makes a withdrawal undone.
func (b *book) isRevoked(account identity.AccountID, device identity.DeviceID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.people[account]
	return p != nil && slices.Contains(p.Revoked, device)
}

// hasRecord reports whether an account record of a contact was ever seen.
func (b *book) hasRecord(account identity.AccountID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.people[account]
	return p != nil && p.Seq > 0
}

// knows reports whether a device is one of a contact's, and not withdrawn.
func (b *book) knows(device identity.DeviceID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for account, p := range b.people {
		_, contact := b.links[account]
		if contact && p.Devices[device] != nil && !slices.Contains(p.Revoked, device) {
			return true
		}
	}
	return false
}

// learnAccount takes a verified account record. Accounts that are no contacts are
// not remembered.
func (b *book) learnAccount(account identity.AccountID, a presence.Account) error {
	return b.change(account, func(p *person) error {
		if err := presence.Newer(p.Seq, a.Seq); err != nil {
			return err
		}
		p.Seq = a.Seq
		p.withdraw(a)
		p.strike(a)
		for _, cert := range a.Devices {
			p.device(cert)
		}
		return nil
	})
}

// strike forgets the devices that an account record neither lists nor withdraws.
func (p *person) strike(a presence.Account) {
	for id := range p.Devices {
		if !lists(a, id) && !slices.Contains(p.Revoked, id) {
			delete(p.Devices, id)
		}
	}
}

// lists reports whether an account record names the device as one of its own.
func lists(a presence.Account, device identity.DeviceID) bool {
	return slices.ContainsFunc(a.Devices, func(c identity.Certificate) bool { return c.Device == device })
}

// withdraw adds what a record withdraws to what older ones did: a record has room
// for the newest withdrawals only. What it lists as a device is one again.
func (p *person) withdraw(a presence.Account) {
	all := slices.Clone(a.Revoked)
	for _, old := range p.Revoked {
		if !lists(a, old) && !slices.Contains(all, old) && len(all) < maxWithdrawn {
			all = append(all, old)
		}
	}
	p.Revoked = all
}

// learnPresence takes a verified presence record. Once an account record is held, the
// account has no other devices than those it lists, whatever their certificates say.
func (b *book) learnPresence(cert identity.Certificate, rec presence.Presence) error {
	return b.change(cert.Account, func(p *person) error {
		if slices.Contains(p.Revoked, cert.Device) {
			return ErrRevoked
		}
		if p.Seq > 0 && p.Devices[cert.Device] == nil {
			return ErrUnlisted
		}
		d := p.device(cert)
		if err := presence.Newer(d.Seq, rec.Seq); err != nil {
			return err
		}
		d.Seq, d.Addrs, d.Expires = rec.Seq, rec.Addrs, rec.Expires
		return nil
	})
}

// note changes the entry of a device that is known.
func (b *book) note(account identity.AccountID, device identity.DeviceID, f func(*contactedDevice)) {
	_ = b.change(account, func(p *person) error {
		if d := p.Devices[device]; d != nil {
			f(d)
		}
		return nil
	})
}

func (b *book) change(account identity.AccountID, f func(*person) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.links[account]; !ok {
		return nil
	}
	p := b.people[account]
	if p == nil {
		p = &person{Devices: make(map[identity.DeviceID]*contactedDevice)}
		b.people[account] = p
	}
	b.dirty = true
	return f(p)
}

// makeRoom forgets the devices longest unheard of: an account can certify as many
// as it likes.
func (p *person) makeRoom() {
	for len(p.Devices) >= maxKnown {
		var oldest *contactedDevice
		for _, d := range p.Devices {
			if oldest == nil || d.Evidence.Before(oldest.Evidence) ||
				d.Evidence.Equal(oldest.Evidence) && d.Cert.Serial < oldest.Cert.Serial {
				oldest = d
			}
		}
		delete(p.Devices, oldest.Cert.Device)
	}
}

// device returns the entry of a certified device; the newer certificate stays.
func (p *person) device(cert identity.Certificate) *contactedDevice {
	d := p.Devices[cert.Device]
	if d == nil {
		p.makeRoom()
		d = &contactedDevice{Cert: cert}
		p.Devices[cert.Device] = d
	}
	if cert.Serial > d.Cert.Serial {
		d.Cert = cert
	}
	return d
}
