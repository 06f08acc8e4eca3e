package overlay

import (
	"bytes"
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
	cacheVersion   = 1
	cacheFile      = "peers.json"
	maxCached      = 64
	maxCachedAddrs = 8
	maxCacheBytes  = 256 << 10
)

// errCacheVersion: the file was written by a newer peerd.
var errCacheVersion = errors.New("peer cache of a newer version")

// cachedPeer is a server we were connected to.
type cachedPeer struct {
	ID    peer.ID
	Addrs []ma.Multiaddr
	Role  string // always "server" today
	Seen  time.Time
	RTT   time.Duration
}

// cache remembers servers across restarts, so that a restart is warm.
type cache struct {
	path  string
	mu    sync.Mutex
	peers map[peer.ID]cachedPeer
	dirty bool
}

// loadCache reads the cache. One that cannot be read is set aside, not destroyed:
// a node without a cache starts cold, which is no reason not to start.
func loadCache(dir string, log *slog.Logger) (*cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("node directory: %w", err)
	}
	c := &cache{path: filepath.Join(dir, cacheFile), peers: make(map[peer.ID]cachedPeer)}
	err := LoadFile(c.path, "peer cache", log, func(data []byte) error {
		peers, parseErr := parseCache(data)
		if parseErr == nil {
			c.peers = peers
		}
		return parseErr
	})
	if err != nil {
		return nil, err
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

type cacheJSON struct {
	Version int        `json:"version"`
	Peers   []peerJSON `json:"peers"`
}

type peerJSON struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`
	Role  string   `json:"role"`
	Seen  int64    `json:"seen_unix"`
	RTTUS int64    `json:"rtt_us"`
}

// parseCache reads a peers file. Entries that make no sense are left out.
func parseCache(data []byte) (map[peer.ID]cachedPeer, error) {
	if len(data) > maxCacheBytes {
		return nil, fmt.Errorf("peer cache of %d bytes", len(data))
	}
	var file cacheJSON
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("peer cache: %w", err)
	}
	if file.Version != cacheVersion {
		return nil, fmt.Errorf("%w: %d, this peerd reads %d", errCacheVersion, file.Version, cacheVersion)
	}
	peers := make(map[peer.ID]cachedPeer)
	for _, p := range file.Peers {
		entry, ok := p.entry()
		if ok && len(peers) < maxCached {
			peers[entry.ID] = entry
		}
	}
	return peers, nil
}

func (p peerJSON) entry() (cachedPeer, bool) {
	id, err := peer.Decode(p.ID)
	if err != nil || p.RTTUS < 0 {
		return cachedPeer{}, false
	}
	entry := cachedPeer{
		ID: id, Role: p.Role, Seen: time.Unix(p.Seen, 0),
		RTT: min(time.Duration(p.RTTUS), time.Hour/time.Microsecond) * time.Microsecond,
	}
	for _, text := range p.Addrs {
		if addr, err := ma.NewMultiaddr(text); err == nil && len(entry.Addrs) < maxCachedAddrs {
			entry.Addrs = append(entry.Addrs, addr)
		}
	}
	return entry, len(entry.Addrs) > 0
}

// seen notes a server we are connected to.
func (c *cache) seen(id peer.ID, addrs []ma.Multiaddr, now time.Time, rtt time.Duration) {
	if len(addrs) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers[id] = cachedPeer{ID: id, Addrs: addrs, Role: "server", Seen: now, RTT: rtt}
	c.dirty = true
	for len(c.peers) > maxCached {
		oldest := slices.MinFunc(c.entries(), func(a, b cachedPeer) int { return a.Seen.Compare(b.Seen) })
		delete(c.peers, oldest.ID)
	}
}

// touch notes that the servers given are still connected.
func (c *cache) touch(ids []peer.ID, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if p, ok := c.peers[id]; ok {
			p.Seen = now
			c.peers[id], c.dirty = p, true
		}
	}
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
	file := cacheJSON{Version: cacheVersion}
	for _, p := range c.entries() {
		out := peerJSON{ID: p.ID.String(), Role: p.Role, Seen: p.Seen.Unix(), RTTUS: p.RTT.Microseconds()}
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
