package stormlab

import "time"

// event is one thing that happens at one moment. It holds no pointers: a hundred
// million of them pass through a run.
type event struct {
	at   time.Duration
	x    int64  // a slot, a deadline, the index of an answer: as kind says
	to   uint32 // whom it happens to
	from uint32
	gen  uint16 // incarnation of the node it is meant for
	kind kind
	aux  uint8 // a class
}

// queue is a heap of events by time, four children to a node.
type queue struct{ heap []event }

func (q *queue) push(e event) {
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 4
		if q.heap[up].at <= e.at {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = e
}

func (q *queue) pop() event {
	top := q.heap[0]
	last := q.heap[len(q.heap)-1]
	q.heap = q.heap[:len(q.heap)-1]
	n := len(q.heap)
	if n == 0 {
		return top
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= n {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, n); c++ {
			if q.heap[c].at < q.heap[least].at {
				least = c
			}
		}
		if q.heap[least].at >= last.at {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = last
	return top
}
