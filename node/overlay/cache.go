package overlay

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	cacheVersion   = 2
	cacheFile      = "peers.json"
	maxCached      = 64
	maxCachedAddrs = 8
	maxCacheBytes  = 256 << 10
	maxTicketBytes = 64
	// ticketKeyBytes is the length of the key with which tickets are made.
	ticketKeyBytes = 32
)

// errCacheVersion: the file was written by a newer peerd.
var errCacheVersion = errors.New("peer cache of a newer version")

// cachedPeer is a server that we have dialled, or that answered a question of ours:
// who only ever dialled us may be here for nothing but to be remembered. Where there
// is room, it is one that another server has named.
type cachedPeer struct {
	ID     peer.ID
	Addrs  []ma.Multiaddr
	Role   string // always "server" today
	First  time.Time
	Seen   time.Time
	RTT    time.Duration
	Ticket []byte // shows that server that we were with it; nil when it gave none
}

// remembered is what a restart begins with.
type remembered struct {
	peers map[peer.ID]cachedPeer
	// size is how many servers the overlay was estimated to have; 0 is unknown.
	size int
	// ticketKey makes our own tickets, which shall hold after a restart.
	ticketKey []byte
	served    served
}

// cache remembers across restarts, so that a restart is warm.
type cache struct {
	path string
	self peer.ID
	mu   sync.Mutex
	remembered
	dirty bool
}

// loadCache reads the cache. One that cannot be read is set aside, not destroyed:
// a node without a cache starts cold, which is no reason not to start.
func loadCache(dir string, self peer.ID, log *slog.Logger) (*cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("node directory: %w", err)
	}
	c := &cache{path: filepath.Join(dir, cacheFile), self: self}
	c.peers = make(map[peer.ID]cachedPeer)
	err := LoadFile(c.path, "peer cache", log, func(data []byte) error {
		r, parseErr := parseCache(data)
		if parseErr == nil {
			c.remembered = r
		}
		return parseErr
	})
	if err != nil {
		return nil, err
	}
	if len(c.ticketKey) == 0 {
		c.ticketKey, c.dirty = randomKey(), true
	}
	return c, nil
}

// LoadFile has parse read a file; one that is not there is none. A file that
// cannot be read is set aside, not destroyed, and the node goes on without it.
func LoadFile(path, what string, log *slog.Logger, parse func([]byte) error) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = parse(data)
	}
	if err == nil {
		return nil
	}
	aside := path + ".unreadable"
	for i := 2; exists(aside); i++ {
		aside = fmt.Sprintf("%s.unreadable-%d", path, i)
	}
	log.Warn("file set aside", "what", what, "err", err, "file", aside)
	if err = os.Rename(path, aside); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// randomKey makes a key for slots or tickets.
func randomKey() []byte {
	key := make([]byte, ticketKeyBytes)
	_, _ = rand.Read(key)
	return key
}

type cacheJSON struct {
	Version   int        `json:"version"`
	Peers     []peerJSON `json:"peers"`
	Size      int        `json:"size,omitempty"`
	TicketKey []byte     `json:"ticket_key,omitempty"`
	// Where this member was proven reachable when it served last, and when.
	Served   []string `json:"served,omitempty"`
	ServedAt int64    `json:"served_unix,omitempty"`
}

// peerJSON of version 1 had no first_unix and no ticket.
type peerJSON struct {
	ID     string   `json:"id"`
	Addrs  []string `json:"addrs"`
	Role   string   `json:"role"`
	First  int64    `json:"first_unix,omitempty"`
	Seen   int64    `json:"seen_unix"`
	RTTUS  int64    `json:"rtt_us"`
	Ticket []byte   `json:"ticket,omitempty"`
}

// parseCache reads a peers file of version 1 or 2. Entries that make no sense are
// left out.
func parseCache(data []byte) (remembered, error) {
	if len(data) > maxCacheBytes {
		return remembered{}, fmt.Errorf("peer cache of %d bytes", len(data))
	}
	var file cacheJSON
	if err := json.Unmarshal(data, &file); err != nil {
		return remembered{}, fmt.Errorf("peer cache: %w", err)
	}
	if file.Version < 1 || file.Version > cacheVersion {
		return remembered{}, fmt.Errorf("%w: %d, this peerd reads %d", errCacheVersion, file.Version, cacheVersion)
	}
	r := remembered{peers: make(map[peer.ID]cachedPeer), size: max(file.Size, 0)}
	if len(file.TicketKey) == ticketKeyBytes {
		r.ticketKey = file.TicketKey
	}
	r.served = served{addrs: parseAddrs(file.Served), at: time.Unix(file.ServedAt, 0)}
	for _, p := range file.Peers {
		entry, ok := p.entry()
		if ok && len(r.peers) < maxCached {
			r.peers[entry.ID] = entry
		}
	}
	return r, nil
}

func (p peerJSON) entry() (cachedPeer, bool) {
	id, err := peer.Decode(p.ID)
	if err != nil || p.RTTUS < 0 {
		return cachedPeer{}, false
	}
	entry := cachedPeer{
		ID: id, Role: p.Role, First: time.Unix(p.First, 0), Seen: time.Unix(p.Seen, 0),
		RTT: min(time.Duration(p.RTTUS), time.Hour/time.Microsecond) * time.Microsecond,
	}
	if p.First <= 0 || p.First > p.Seen {
		entry.First = entry.Seen
	}
	if len(p.Ticket) <= maxTicketBytes {
		entry.Ticket = p.Ticket
	}
	entry.Addrs = parseAddrs(p.Addrs)
	return entry, len(entry.Addrs) > 0
}

// parseAddrs reads the first multiaddrs of a list; what is none is left out.
func parseAddrs(texts []string) (addrs []ma.Multiaddr) {
	for _, text := range texts {
		if addr, err := ma.NewMultiaddr(text); err == nil && len(addrs) < maxCachedAddrs {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// dialled notes a server to which we have opened a connection.
func (c *cache) dialled(id peer.ID, addrs []ma.Multiaddr, now time.Time, rtt time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enter(cachedPeer{ID: id, Addrs: addrs, Role: "server", First: now, Seen: now, RTT: rtt})
}

// answered notes a server that answered a question of ours at an address of these.
// What a connection taught about it is worth more.
func (c *cache) answered(id peer.ID, addrs []ma.Multiaddr, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.peers[id]; ok {
		c.seen(p, now)
		return
	}
	c.enter(cachedPeer{ID: id, Addrs: addrs, Role: "server", First: now, Seen: now})
}

// heardOf notes servers that another one has named, while there is room: nobody who
// was met has to go for them, and they are asked last.
func (c *cache) heardOf(peers []peer.AddrInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range peers {
		if _, known := c.peers[p.ID]; !known && p.ID != c.self && len(c.peers) < maxCached && len(p.Addrs) > 0 {
			c.enter(cachedPeer{ID: p.ID, Addrs: p.Addrs, Role: "server", First: never(), Seen: never()})
		}
	}
}

// never is when somebody was seen who was only heard of.
func never() time.Time { return time.Unix(0, 0) }

// enter remembers a peer, and forgets the one that matters least for it.
func (c *cache) enter(p cachedPeer) {
	if p.Addrs = p.Addrs[:min(len(p.Addrs), maxCachedAddrs)]; len(p.Addrs) == 0 {
		return
	}
	if old, ok := c.peers[p.ID]; ok {
		if p.Ticket = old.Ticket; !old.First.Equal(never()) {
			p.First = old.First
		}
	}
	c.peers[p.ID] = p
	c.dirty = true
	if len(c.peers) <= maxCached {
		return
	}
	for id, p := range c.peers {
		if p.Seen.Equal(never()) {
			delete(c.peers, id)
			return
		}
	}
	kept := stratify(c.self, c.entries(), maxCached)
	c.peers = make(map[peer.ID]cachedPeer, len(kept))
	for _, p := range kept {
		c.peers[p.ID] = p
	}
}

// seen notes that somebody who is remembered is there.
func (c *cache) seen(p cachedPeer, now time.Time) {
	if p.Seen = now; p.First.Equal(never()) {
		p.First = now
	}
	c.peers[p.ID], c.dirty = p, true
}

// touch notes that the servers given are still connected.
func (c *cache) touch(ids []peer.ID, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if p, ok := c.peers[id]; ok {
			c.seen(p, now)
		}
	}
}

// keepTicket notes the ticket that a server we have dialled gave us.
func (c *cache) keepTicket(id peer.ID, ticket []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.peers[id]; ok && len(ticket) <= maxTicketBytes {
		p.Ticket = ticket
		c.peers[id], c.dirty = p, true
	}
}

// ticket returns what a server gave us to come back with, or nil.
func (c *cache) ticket(id peer.ID) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peers[id].Ticket
}

// find returns the entry of a peer, or nothing.
func (c *cache) find(id peer.ID) []peer.AddrInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.peers[id]; ok {
		return []peer.AddrInfo{{ID: id, Addrs: p.Addrs}}
	}
	return nil
}

// learned returns the last estimate of the overlay's size in servers.
func (c *cache) learned() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}

// learn keeps a new estimate; zero is no news.
func (c *cache) learn(size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if size > 0 && size != c.size {
		c.size, c.dirty = size, true
	}
}

// changed says that there is something to save.
func (c *cache) changed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dirty
}

func (c *cache) entries() []cachedPeer {
	list := make([]cachedPeer, 0, len(c.peers))
	for _, p := range c.peers {
		list = append(list, p)
	}
	return list
}

// candidates returns the peers to try, the most recently seen first.
func (c *cache) candidates() []peer.AddrInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.entries()
	slices.SortFunc(list, func(a, b cachedPeer) int { return b.Seen.Compare(a.Seen) })
	infos := make([]peer.AddrInfo, len(list))
	for i, p := range list {
		infos[i] = peer.AddrInfo{ID: p.ID, Addrs: p.Addrs}
	}
	return infos
}

// save writes the cache when it has changed; readers see the old file or the new one.
func (c *cache) save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil
	}
	file := cacheJSON{Version: cacheVersion, Size: c.size, TicketKey: c.ticketKey}
	for _, a := range c.served.addrs {
		file.Served, file.ServedAt = append(file.Served, a.String()), c.served.at.Unix()
	}
	for _, p := range c.entries() {
		out := peerJSON{
			ID: p.ID.String(), Role: p.Role, First: p.First.Unix(), Seen: p.Seen.Unix(),
			RTTUS: p.RTT.Microseconds(), Ticket: p.Ticket,
		}
		for _, a := range p.Addrs {
			out.Addrs = append(out.Addrs, a.String())
		}
		file.Peers = append(file.Peers, out)
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetIndent("", " ")
	if err := enc.Encode(file); err != nil {
		return err
	}
	if err := WriteFileAtomic(c.path, text.Bytes()); err != nil {
		return err
	}
	c.dirty = false
	return nil
}

// WriteFileAtomic replaces path by data: after a crash the file is the old one or
// the new one, never half of either. The file is private to its owner.
func WriteFileAtomic(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory outlive a power cut.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
