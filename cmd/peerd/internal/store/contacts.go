package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/peerd/peerd/node/identity"
	"go.etcd.io/bbolt"
)

// contactRecord is a contact as stored.
type contactRecord struct {
	Petname string         `json:"petname"`
	Link    string         `json:"link"`
	Added   int64          `json:"added_ms"`
	Blocked bool           `json:"blocked,omitempty"`
	Devices []deviceRecord `json:"devices,omitempty"`
}

type deviceRecord struct {
	ID         string `json:"id"`
	Name       string `json:"name,omitempty"`
	FirstSeen  int64  `json:"first_seen_ms"`
	SAS        string `json:"sas,omitempty"`
	VerifiedAt int64  `json:"verified_ms,omitempty"`
}

// CheckPetname returns ErrBadPetname unless name is 1 to MaxPetname printable
// characters, without space at its ends, and cannot be taken for a link.
func CheckPetname(name string) error {
	n := utf8.RuneCountInString(name)
	switch {
	case n == 0 || n > MaxPetname:
		return fmt.Errorf("%d characters, 1 to %d are allowed: %w", n, MaxPetname, ErrBadPetname)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%q holds an unprintable character: %w", name, ErrBadPetname)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("%q begins or ends with a space: %w", name, ErrBadPetname)
	case strings.HasPrefix(fold(name), fold("peerd:")):
		return fmt.Errorf("%q looks like a contact link: %w", name, ErrBadPetname)
	}
	return nil
}

// fold maps names that differ only in case to the same text.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}

// AddContact stores a contact. The same petname with the same account takes
// the (perhaps newer) link and keeps the rest; otherwise a petname or account
// in use gives ErrNameTaken or ErrKnownAccount.
func (s *Store) AddContact(petname string, link identity.Link, now time.Time) error {
	if err := CheckPetname(petname); err != nil {
		return fmt.Errorf("add contact: %w", err)
	}
	return s.update("add contact", func(tx *bbolt.Tx) error {
		contacts, accounts := tx.Bucket([]byte(bucketContacts)), tx.Bucket([]byte(bucketAccounts))
		key := []byte(fold(petname))
		switch holder := accounts.Get(link.Account[:]); {
		case holder != nil && string(holder) != string(key):
			return fmt.Errorf("as %q: %w", string(displayName(contacts, holder)), ErrKnownAccount)
		case holder != nil:
			return change(contacts, key, func(c *contactRecord) { c.Link = link.String() })
		case contacts.Get(key) != nil:
			return fmt.Errorf("%q: %w", petname, ErrNameTaken)
		case contacts.Sequence() >= MaxContacts:
			return fmt.Errorf("%d contacts already: %w", MaxContacts, ErrTooLarge)
		}
		if err := accounts.Put(link.Account[:], key); err != nil {
			return err
		}
		if err := contacts.SetSequence(contacts.Sequence() + 1); err != nil {
			return err
		}
		return putJSON(contacts, key, contactRecord{Petname: petname, Link: link.String(), Added: now.UnixMilli()})
	})
}

// displayName returns the petname as its owner wrote it.
func displayName(contacts *bbolt.Bucket, key []byte) []byte {
	var c contactRecord
	if err := getJSON(contacts, key, &c); err != nil {
		return key
	}
	return []byte(c.Petname)
}

// RemoveContact forgets a contact; ErrNotFound if there is none.
func (s *Store) RemoveContact(petname string) error {
	return s.update("remove contact", func(tx *bbolt.Tx) error {
		contacts, key := tx.Bucket([]byte(bucketContacts)), []byte(fold(petname))
		var c contactRecord
		if err := getJSON(contacts, key, &c); err != nil {
			return fmt.Errorf("%q: %w", petname, err)
		}
		link, err := identity.ParseLink(c.Link)
		if err != nil {
			return fmt.Errorf("%q: %w: %w", petname, err, ErrDamaged)
		}
		if err := tx.Bucket([]byte(bucketAccounts)).Delete(link.Account[:]); err != nil {
			return err
		}
		if err := contacts.SetSequence(contacts.Sequence() - 1); err != nil {
			return err
		}
		return contacts.Delete(key)
	})
}

// BlockContact sets or lifts a block; ErrNotFound if there is no such contact.
func (s *Store) BlockContact(petname string, blocked bool) error {
	return s.update("block contact", func(tx *bbolt.Tx) error {
		err := change(tx.Bucket([]byte(bucketContacts)), []byte(fold(petname)),
			func(c *contactRecord) { c.Blocked = blocked })
		if err != nil {
			return fmt.Errorf("%q: %w", petname, err)
		}
		return nil
	})
}

// SawDevice notes a device of a contact, and reports whether it is new.
// ErrNotFound if the account is no contact's.
func (s *Store) SawDevice(account identity.AccountID, device identity.DeviceID, name string, now time.Time) (isNew bool, err error) {
	err = s.changeDevice("note device", account, device, now, func(d *deviceRecord, added bool) {
		isNew = added
		d.Name = name[:min(len(name), maxText)]
	})
	return isNew, err
}

// VerifyDevice notes that the user compared the short authentication string
// with this device. ErrNotFound if the account is no contact's.
func (s *Store) VerifyDevice(account identity.AccountID, device identity.DeviceID, sas string, now time.Time) error {
	if len(sas) > maxText {
		return fmt.Errorf("verify device: %w", ErrTooLarge)
	}
	return s.changeDevice("verify device", account, device, now, func(d *deviceRecord, _ bool) {
		d.SAS, d.VerifiedAt = sas, now.UnixMilli()
	})
}

func (s *Store) changeDevice(what string, account identity.AccountID, device identity.DeviceID, now time.Time, f func(d *deviceRecord, added bool)) error {
	return s.update(what, func(tx *bbolt.Tx) error {
		key := tx.Bucket([]byte(bucketAccounts)).Get(account[:])
		if key == nil {
			return fmt.Errorf("account %s: %w", account, ErrNotFound)
		}
		return change(tx.Bucket([]byte(bucketContacts)), key, func(c *contactRecord) {
			i := slices.IndexFunc(c.Devices, func(d deviceRecord) bool { return d.ID == device.String() })
			added := i < 0
			if added {
				c.Devices = append(c.Devices, deviceRecord{ID: device.String(), FirstSeen: now.UnixMilli()})
				c.Devices = c.Devices[max(0, len(c.Devices)-MaxSeenDevices):]
				i = len(c.Devices) - 1
			}
			f(&c.Devices[i], added)
		})
	})
}

// change reads a contact, lets f change it and writes it back.
func change(contacts *bbolt.Bucket, key []byte, f func(*contactRecord)) error {
	var c contactRecord
	if err := getJSON(contacts, key, &c); err != nil {
		return err
	}
	f(&c)
	return putJSON(contacts, slices.Clone(key), c)
}

// Contacts returns all contacts in the order of their names.
func (s *Store) Contacts() ([]Contact, error) {
	var out []Contact
	err := s.view("read contacts", func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketContacts)).ForEach(func(_, v []byte) error {
			c, err := decodeContact(v)
			out = append(out, c)
			return err
		})
	})
	return out, err
}

// Contact returns the contact with a petname, in whatever case; or ErrNotFound.
func (s *Store) Contact(petname string) (Contact, error) {
	var c Contact
	err := s.view("read contact", func(tx *bbolt.Tx) (err error) {
		v := tx.Bucket([]byte(bucketContacts)).Get([]byte(fold(petname)))
		if v == nil {
			return fmt.Errorf("%q: %w", petname, ErrNotFound)
		}
		c, err = decodeContact(v)
		return err
	})
	return c, err
}

// ContactOf returns the contact with an account, or ErrNotFound.
func (s *Store) ContactOf(account identity.AccountID) (Contact, error) {
	var c Contact
	err := s.view("read contact", func(tx *bbolt.Tx) (err error) {
		key := tx.Bucket([]byte(bucketAccounts)).Get(account[:])
		if key == nil {
			return fmt.Errorf("account %s: %w", account, ErrNotFound)
		}
		c, err = decodeContact(tx.Bucket([]byte(bucketContacts)).Get(key))
		return err
	})
	return c, err
}

func decodeContact(raw []byte) (Contact, error) {
	var r contactRecord
	if err := json.Unmarshal(raw, &r); err != nil {
		return Contact{}, fmt.Errorf("contact: %w: %w", err, ErrDamaged)
	}
	link, err := identity.ParseLink(r.Link)
	if err != nil {
		return Contact{}, fmt.Errorf("contact %q: %w: %w", r.Petname, err, ErrDamaged)
	}
	c := Contact{Petname: r.Petname, Link: link, Added: time.UnixMilli(r.Added), Blocked: r.Blocked}
	for _, d := range r.Devices {
		id, err := identity.ParseDevice(d.ID)
		if err != nil {
			return Contact{}, fmt.Errorf("device of contact %q: %w: %w", r.Petname, err, ErrDamaged)
		}
		device := Device{ID: id, Name: d.Name, FirstSeen: time.UnixMilli(d.FirstSeen), SAS: d.SAS}
		if d.VerifiedAt != 0 {
			device.VerifiedAt = time.UnixMilli(d.VerifiedAt)
		}
		c.Devices = append(c.Devices, device)
	}
	return c, nil
}
