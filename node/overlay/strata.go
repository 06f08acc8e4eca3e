package overlay

import (
	"bytes"
	"cmp"
	"slices"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Of the peers remembered some are kept for being near to us in key space, where
// our neighbourhood is found again; some for having been up longest, as they will
// be; and the others so that every part of the key space is known.
const (
	keptNear      = 16
	keptLongLived = 16
)

// stratify chooses n of the peers to remember. The result is in no order.
func stratify(self peer.ID, peers []cachedPeer, n int) []cachedPeer {
	if len(peers) <= n {
		return peers
	}
	rest := slices.Clone(peers)
	own := kb.ConvertPeerID(self)
	distance := make(map[peer.ID][]byte, len(rest))
	for _, p := range rest {
		distance[p.ID] = xor(own, kb.ConvertPeerID(p.ID))
	}
	slices.SortFunc(rest, func(a, b cachedPeer) int { return bytes.Compare(distance[a.ID], distance[b.ID]) })
	chosen, rest := cut(nil, rest, min(keptNear, n))
	slices.SortStableFunc(rest, func(a, b cachedPeer) int { return cmp.Compare(b.Seen.Sub(b.First), a.Seen.Sub(a.First)) })
	chosen, rest = cut(chosen, rest, min(keptLongLived, n-len(chosen)))
	rest = byTurns(rest, func(p cachedPeer) int { return kb.CommonPrefixLen(own, kb.ConvertPeerID(p.ID)) })
	chosen, _ = cut(chosen, rest, n-len(chosen))
	return chosen
}

func cut(chosen, from []cachedPeer, n int) (grown, rest []cachedPeer) {
	return append(chosen, from[:n]...), from[n:]
}

func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// byTurns orders peers so that each bucket gives its most recently seen one in
// turn.
func byTurns(peers []cachedPeer, bucket func(cachedPeer) int) []cachedPeer {
	slices.SortFunc(peers, func(a, b cachedPeer) int { return b.Seen.Compare(a.Seen) })
	turn := make(map[peer.ID]int, len(peers))
	given := make(map[int]int)
	for _, p := range peers {
		b := bucket(p)
		turn[p.ID] = given[b]
		given[b]++
	}
	slices.SortStableFunc(peers, func(a, b cachedPeer) int { return turn[a.ID] - turn[b.ID] })
	return peers
}
