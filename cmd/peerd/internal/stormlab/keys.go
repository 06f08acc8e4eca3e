package stormlab

import (
	"cmp"
	"math/bits"
	"slices"
)

// keyspace finds the servers closest to a key by XOR among those that are in: a
// binary trie of counts over the first bits of the keys, and short lists below it.
type keyspace struct {
	bits   int
	count  []int32  // servers that are in, below each node of the trie
	first  []int32  // where each list begins in ids
	ids    []uint32 // nodes, by key
	keys   []uint32 // their keys
	inside []bool
	place  map[uint32]int32 // of a node in ids
	near   []int32          // of the search under way
}

func newKeyspace(ids []uint32, key func(uint32) uint32) *keyspace {
	k := &keyspace{ids: slices.Clone(ids), place: make(map[uint32]int32, len(ids))}
	slices.SortFunc(k.ids, func(a, b uint32) int { return cmp.Compare(key(a), key(b)) })
	k.bits = max(1, bits.Len(uint(len(ids)))-1)
	k.count = make([]int32, 2<<k.bits)
	k.first = make([]int32, (1<<k.bits)+1)
	k.inside = make([]bool, len(ids))
	k.keys = make([]uint32, len(ids))
	for i, id := range k.ids {
		k.keys[i], k.place[id] = key(id), int32(i)
	}
	next := 0
	for b := range k.first {
		for next < len(ids) && int(k.keys[next]>>(32-k.bits)) < b {
			next++
		}
		k.first[b] = int32(next)
	}
	return k
}

// set says whether a node is in.
func (k *keyspace) set(id uint32, in bool) {
	i, ok := k.place[id]
	if !ok || k.inside[i] == in {
		return
	}
	k.inside[i] = in
	change := int32(1)
	if !in {
		change = -1
	}
	for n := (1 << k.bits) + int(k.keys[i]>>(32-k.bits)); n > 0; n >>= 1 {
		k.count[n] += change
	}
}

// closest appends to out the n nodes closest to key, the closest first.
func (k *keyspace) closest(key uint32, n int, out []uint32) []uint32 {
	return k.visit(1, 0, key, len(out)+n, out)
}

func (k *keyspace) visit(node, depth int, key uint32, limit int, out []uint32) []uint32 {
	if len(out) >= limit || k.count[node] == 0 {
		return out
	}
	if depth == k.bits {
		return k.list(node-(1<<k.bits), key, limit, out)
	}
	near := 2*node + int(key>>(31-depth)&1)
	out = k.visit(near, depth+1, key, limit, out)
	return k.visit(near^1, depth+1, key, limit, out)
}

func (k *keyspace) list(b int, key uint32, limit int, out []uint32) []uint32 {
	k.near = k.near[:0]
	for i := k.first[b]; i < k.first[b+1]; i++ {
		if k.inside[i] {
			k.near = append(k.near, i)
		}
	}
	slices.SortFunc(k.near, func(a, b int32) int { return cmp.Compare(k.keys[a]^key, k.keys[b]^key) })
	for _, i := range k.near {
		if len(out) == limit {
			break
		}
		out = append(out, k.ids[i])
	}
	return out
}
