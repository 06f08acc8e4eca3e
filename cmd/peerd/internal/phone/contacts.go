package phone

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/peerd/peerd/cmd/peerd/internal/store"
	"github.com/peerd/peerd/node"
	"github.com/peerd/peerd/node/identity"
)

// Contacts lists the address book by name.
func (p *Phone) Contacts() []Contact {
	p.mu.Lock()
	book := slices.Clone(p.book)
	p.mu.Unlock()
	list := make([]Contact, 0, len(book))
	for _, c := range book {
		list = append(list, p.describe(c, p.node.Presence(c.Link.Account)))
	}
	slices.SortFunc(list, func(a, b Contact) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// AddContact adds a contact. Adding it again with the same account takes its
// newer link and lifts a block.
func (p *Phone) AddContact(name, link string) error {
	l, err := identity.ParseLink(link)
	if err != nil {
		return fmt.Errorf("add contact %q: %w", name, err)
	}
	if l.Account == p.cfg.Identity.Account() {
		return fmt.Errorf("add contact %q: %w", name, ErrOwnLink)
	}
	err = p.store.AddContact(name, l, time.Now())
	if err == nil {
		err = p.store.BlockContact(name, false)
	}
	return p.contactChanged("add", name, err)
}

// RemoveContact forgets a contact.
func (p *Phone) RemoveContact(name string) error {
	was, err := p.store.Contact(name)
	if err == nil {
		err = p.store.RemoveContact(name)
	}
	if err = p.contactChanged("remove", name, err); err != nil {
		return err
	}
	gone := p.describe(was, node.ContactPresence{State: node.Unknown})
	p.hub.publish(Event{Type: EventContactRemoved, Contact: &gone})
	return nil
}

// BlockContact keeps the contact but refuses its calls and tells it nothing;
// AddContact lifts that.
func (p *Phone) BlockContact(name string) error {
	return p.contactChanged("block", name, p.store.BlockContact(name, true))
}

// contactChanged puts a change of the store into effect, or names its error.
func (p *Phone) contactChanged(verb, name string, err error) error {
	if err == nil {
		err = p.loadBook()
	}
	if err != nil {
		return fmt.Errorf("%s contact %q: %w", verb, name, contactError(err))
	}
	if c, err := p.store.Contact(name); err == nil {
		now := p.describe(c, p.node.Presence(c.Link.Account))
		p.hub.publish(Event{Type: EventContact, Contact: &now})
	}
	return nil
}

// contactError says in our words what the store reports; its own are added where
// they tell more.
func contactError(err error) error {
	for _, e := range []struct {
		from, to error
		more     bool
	}{
		{store.ErrNotFound, ErrNoSuchContact, false},
		{store.ErrNameTaken, ErrContactExists, false},
		{store.ErrKnownAccount, ErrContactExists, true},
		{store.ErrBadPetname, ErrBadName, true},
	} {
		inner := errors.Unwrap(err) // without what was attempted, which our caller says
		switch {
		case !errors.Is(err, e.from):
		case e.more && inner != nil:
			return fmt.Errorf("%w: %s", e.to, strings.TrimSuffix(inner.Error(), ": "+e.from.Error()))
		default:
			return e.to
		}
	}
	return err
}

// loadBook reads the contacts from the store and tells the node about those
// whose presence we keep, and who may know ours.
func (p *Phone) loadBook() error {
	p.loading.Lock() // the node hears of changes in their order
	defer p.loading.Unlock()
	book, err := p.store.Contacts()
	if err != nil {
		return err
	}
	var links []identity.Link
	for _, c := range book {
		if !c.Blocked {
			links = append(links, c.Link)
		}
	}
	p.mu.Lock()
	p.book = book
	p.mu.Unlock()
	p.node.SetContacts(links)
	return nil
}

// contactOf returns the contact with an account.
func (p *Phone) contactOf(account identity.AccountID) (store.Contact, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.book {
		if c.Link.Account == account {
			return c, true
		}
	}
	return store.Contact{}, false
}

// describe joins what the store and the node know of a contact.
func (p *Phone) describe(c store.Contact, now node.ContactPresence) Contact {
	out := Contact{
		Name: c.Petname, Account: c.Link.Account.String(), Link: c.Link.String(),
		Blocked: c.Blocked, Added: c.Added,
		Presence: string(now.State), Evidence: now.Evidence, SignedOff: now.SignedOff,
	}
	for _, d := range c.Devices {
		out.Devices = append(out.Devices, d.ID.String())
	}
	for _, d := range now.Devices {
		if id := d.Device.String(); !slices.Contains(out.Devices, id) {
			out.Devices = append(out.Devices, id)
		}
	}
	return out
}

// callee is whom Dial is to call.
type callee struct {
	link     identity.Link
	name     string // petname, or empty
	stranger bool
}

// resolve understands a petname or a contact link.
func (p *Phone) resolve(who string) (callee, error) {
	c, err := p.store.Contact(who)
	if link, notLink := identity.ParseLink(who); notLink == nil {
		if link.Account == p.cfg.Identity.Account() {
			return callee{}, ErrOwnLink
		}
		known, ok := p.contactOf(link.Account)
		if !ok {
			return callee{link: link, stranger: true}, nil
		}
		c, err = known, nil
		c.Link = link // perhaps newer than the one we have
	} else if strings.HasPrefix(strings.ToLower(who), "peerd:") {
		return callee{}, notLink
	}
	switch {
	case err != nil:
		return callee{}, contactError(err)
	case c.Blocked:
		return callee{}, ErrBlocked
	}
	return callee{link: c.Link, name: c.Petname}, nil
}
