package signaling

import "slices"

// maxWaiting bounds the incoming streams whose offer has not come yet: so many
// of peers we know, and as many of all others. Strangers can have any number of
// names, so a bound per name would not keep them from filling one room for all.
const maxWaiting = 64

// waitingRoom holds such streams, the oldest first. The Manager's lock guards it.
type waitingRoom []Stream

// enter takes a stream in. A full room displaces the one that has waited longest,
// which the caller is to reset: honest callers write their offer at once.
func (r *waitingRoom) enter(stream Stream) (displaced Stream) {
	if len(*r) >= maxWaiting {
		displaced = (*r)[0]
		*r = slices.Delete(*r, 0, 1)
	}
	*r = append(*r, stream)
	return displaced
}

// leave reports whether the stream was still there.
func (r *waitingRoom) leave(stream Stream) bool {
	i := slices.Index(*r, stream)
	if i >= 0 {
		*r = slices.Delete(*r, i, i+1)
	}
	return i >= 0
}
