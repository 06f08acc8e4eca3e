package overlay

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/peerd/peerd/node/storm"
)

// putLimit bounds one PUT_VALUE, the dial before it included; see dialLimit.
const putLimit = 10 * time.Second

// Record is a value that this member keeps in the DHT.
type Record struct {
	Key   string
	Value []byte
}

// Receipt tells what became of a record.
type Receipt struct {
	Asked int   // nodes asked to store it as it is
	Acks  int   // nodes that acknowledged it
	Local bool  // this node, a server, keeps it too
	Err   error // the last refusal, nil when there was none
}

// Records returns what a member keeps in the DHT now, sealed; nothing while there is
// nothing to tell. It is called often and must be quick.
type Records func() []Record

// Stored is told what became of a record; it must not block.
type Stored func(r Record, receipt Receipt)

// keeping is what became of the own records.
type keeping struct {
	mu      sync.Mutex
	list    Records
	stored  Stored
	begun   chan struct{} // closed once records are to be kept
	begin   sync.Once
	records map[string]*kept
	keys    []string         // of records, the first one first
	served  map[peer.ID]bool // the policy takes these for done
	ahead   map[string]*search
}

// kept is one record as it is now.
type kept struct {
	Receipt
	value []byte
	near  []peer.ID             // the servers to hold it, the closest first
	acked map[peer.ID]time.Time // when who has it said so last
}

// Keep has the overlay keep records in the DHT from now on, and say what becomes of
// them.
func (o *Overlay) Keep(list Records, stored Stored) {
	o.keeping.mu.Lock()
	o.keeping.list, o.keeping.stored = list, stored
	o.keeping.mu.Unlock()
	o.Republish()
	o.keeping.begin.Do(func() { close(o.keeping.begun) })
}

// Republish says that the records are new, or are to be stored again.
func (o *Overlay) Republish() {
	o.storeLocally(o.refreshRecords())
	o.tell(storm.Event[peer.ID]{Kind: storm.Changed})
}

// refreshRecords takes the records as they are now.
func (o *Overlay) refreshRecords() []Record {
	k := &o.keeping
	k.mu.Lock()
	get := k.list
	k.mu.Unlock()
	if get == nil {
		return nil
	}
	list := get()
	k.mu.Lock()
	defer k.mu.Unlock()
	next := make(map[string]*kept, len(list))
	k.keys = k.keys[:0]
	for _, r := range list {
		k.keys = append(k.keys, r.Key)
		old := k.records[r.Key]
		if old == nil || !bytes.Equal(old.value, r.Value) {
			old = &kept{value: r.Value, acked: make(map[peer.ID]time.Time)}
			clear(k.served) // the policy gives it to all of them
		}
		next[r.Key] = old
	}
	k.records = next
	return list
}

// storeLocally has a server keep its own records.
func (o *Overlay) storeLocally(list []Record) {
	if !o.Serving() {
		return
	}
	for _, r := range list {
		err := o.local.Put(o.ctx, r.Key, record.MakePutRecord(r.Key, r.Value))
		o.keeping.note(r, func(k *kept) {
			if k.Local = err == nil; err != nil {
				k.Err = err
			}
		})
		o.keeping.report(r)
	}
}

// note changes what is known of a record, if it is still the same.
func (k *keeping) note(r Record, change func(*kept)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.records[r.Key]; now != nil && bytes.Equal(now.value, r.Value) {
		change(now)
	}
}

// report tells the owner of the records what became of one.
func (k *keeping) report(r Record) {
	var receipt Receipt
	k.note(r, func(now *kept) { receipt = now.Receipt })
	k.mu.Lock()
	stored := k.stored
	k.mu.Unlock()
	if stored != nil {
		stored(r, receipt)
	}
}

// short says that a record was given fewer holders than there are servers alive, up
// to as many as it should have.
func (k *keeping) short(alive int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.records {
		if len(r.near) < min(Neighbours, alive) {
			return true
		}
	}
	return false
}

// lacks says that a server was given records, but not all that it should hold now.
func (k *keeping) lacks(p peer.ID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.records {
		if k.served[p] && slices.Contains(r.near, p) && !r.has(p) {
			return true
		}
	}
	return false
}

// serve notes whether the policy takes a server for done.
func (k *keeping) serve(p peer.ID, done bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.served == nil {
		k.served = make(map[peer.ID]bool)
	}
	if delete(k.served, p); done {
		k.served[p] = true
	}
}

// near are the servers closest to a key: those that a search ahead of this one finds,
// or those of a new search.
func (o *Overlay) near(key string) []peer.ID {
	k := &o.keeping
	k.mu.Lock()
	s := k.ahead[key]
	delete(k.ahead, key)
	k.mu.Unlock()
	if s != nil && time.Since(s.began) < aheadFor {
		if <-s.done; len(s.near) > 0 {
			return s.near
		}
	}
	if held := o.unmoved(key); held != nil {
		return held
	}
	w := o.newWalk(kb.ConvertKey(key))
	w.gives, w.holds = key, true
	return w.nearest(o.ctx, Neighbours)
}

// unmoved asks one of the servers that hold a record whether they still are the
// closest ones to its key, and returns them if so. It asks only while all of them have
// the record: this is what a node does for as long as nothing changes, once a minute,
// and one question costs a third of a search.
func (o *Overlay) unmoved(key string) []peer.ID {
	held := o.keeping.whole(key)
	if len(held) < Neighbours {
		return nil
	}
	ctx, cancel := context.WithTimeout(o.ctx, stepLimit)
	defer cancel()
	place, one := kb.ConvertKey(key), held[rand.IntN(len(held))]
	near, ok := o.askNear(ctx, one, place)
	if !ok || len(near) == 0 {
		return nil
	}
	w := o.newWalk(place)
	w.add(append(near, one))
	for _, p := range w.list[:min(len(w.list), Neighbours)] {
		if !slices.Contains(held, p) {
			return nil
		}
	}
	return held
}

// whole returns the servers that should hold a record, if all have it.
func (k *keeping) whole(key string) []peer.ID {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.records[key]
	if r == nil || slices.ContainsFunc(r.near, func(p peer.ID) bool { return !r.has(p) || !k.served[p] }) {
		return nil
	}
	return slices.Clone(r.near)
}

// holders looks for the servers closest to the keys of the own records: those of
// the first record first.
func (o *Overlay) holders() []peer.ID {
	list := o.refreshRecords()
	o.storeLocally(list)
	near := make([][]peer.ID, len(list))
	var walks sync.WaitGroup
	for i, r := range list {
		walks.Go(func() {
			near[i] = o.near(r.Key)
			o.keeping.note(r, func(k *kept) { k.near = near[i] })
		})
	}
	walks.Wait()
	var all []peer.ID
	for _, p := range slices.Concat(near...) {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// found is what a search for holders ended with. The policy knows who has stored
// something, not what: who holds one record and is now among the closest to another
// gets that, too.
func (o *Overlay) found() storm.Event[peer.ID] {
	peers := o.holders()
	o.log.Debug("holders found", "servers", len(peers))
	for _, p := range peers {
		if o.keeping.lacks(p) {
			o.wg.Go(func() { o.supply(p) })
		}
	}
	return storm.Event[peer.ID]{Kind: storm.Found, Peers: peers}
}

// searchIfShort looks for holders again when there are more servers than there were.
func (o *Overlay) searchIfShort() {
	if o.keeping.short(len(o.Servers())) {
		o.wg.Go(func() { o.tell(o.found()) })
	}
}

func (k *kept) has(p peer.ID) bool {
	_, ok := k.acked[p]
	return ok
}

// due lists the records that a server should hold and was not given just now.
func (k *keeping) due(p peer.ID) []Record {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []Record
	for key, r := range k.records {
		if slices.Contains(r.near, p) && time.Since(r.acked[p]) >= aheadFor {
			list = append(list, Record{Key: key, Value: r.value})
		}
	}
	return list
}

// lacking is the record of a name, if a server has not got it as it is.
func (k *keeping) lacking(name string, p peer.ID) (Record, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.records[name]
	if r == nil || r.has(p) {
		return Record{}, false
	}
	return Record{Key: name, Value: r.value}, true
}

// lost forgets what a server had that is gone, and lists it.
func (k *keeping) lost(p peer.ID) (had []Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.served, p)
	for key, r := range k.records {
		if r.has(p) {
			delete(r.acked, p)
			r.Acks = len(r.acked)
			had = append(had, Record{Key: key, Value: r.value})
		}
	}
	return had
}

// holding lists the servers that hold own records.
func (k *keeping) holding() []peer.ID {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []peer.ID
	for _, r := range k.records {
		for _, p := range r.near {
			if r.has(p) && !slices.Contains(list, p) {
				list = append(list, p)
			}
		}
	}
	slices.Sort(list)
	return list
}
