package storm

// Line holds work that was let in and waits for the processor: bounded, the more
// important class first and inside a class the newest first. Work whose deadline
// has passed is never done: whoever wanted it has gone. The newest has the best
// chance of being in time, so a line that is too long serves some well instead of
// all too late.
type Line[T any] struct {
	off    Options
	max    int
	length int
	stacks [Classes][]queued[T]
}

type queued[T any] struct {
	deadline Moment
	item     T
}

// NewLine makes a line of at most max items.
func NewLine[T any](limit int, off Options) Line[T] { return Line[T]{off: off, max: limit} }

// Len is the number of items that wait.
func (l *Line[T]) Len() int { return l.length }

// Push adds an item. If the line is full the oldest of the least important class
// makes room; it, or the new item, comes back as dropped.
func (l *Line[T]) Push(c Class, deadline Moment, item T) (dropped T, full bool) {
	if c = min(c, Refresh); !l.off.Has(Reserved) {
		c = LogIn
	}
	if l.length >= l.max {
		victim := Refresh
		for len(l.stacks[victim]) == 0 {
			victim--
		}
		if victim < c || (victim == c && !l.off.Has(NewestFirst)) {
			return item, true
		}
		dropped, full = l.stacks[victim][0].item, true
		l.removeOldest(victim)
	}
	l.stacks[c] = append(l.stacks[c], queued[T]{deadline, item})
	l.length++
	return dropped, full
}

// Pop takes the next item to work on at now. Items past their deadline are handed
// to expired, which may be nil, and left out.
func (l *Line[T]) Pop(now Moment, expired func(T)) (item T, ok bool) {
	for c := range l.stacks {
		for len(l.stacks[c]) > 0 {
			w := l.take(Class(c))
			if !l.off.Has(NewestFirst) || now <= w.deadline {
				return w.item, true
			}
			if expired != nil {
				expired(w.item)
			}
		}
	}
	return item, false
}

// take removes the newest, or without NewestFirst the oldest.
func (l *Line[T]) take(c Class) queued[T] {
	s := l.stacks[c]
	if !l.off.Has(NewestFirst) {
		w := s[0]
		l.removeOldest(c)
		return w
	}
	w := s[len(s)-1]
	s[len(s)-1] = queued[T]{}
	l.stacks[c] = s[:len(s)-1]
	l.length--
	return w
}

func (l *Line[T]) removeOldest(c Class) {
	s := l.stacks[c]
	copy(s, s[1:])
	s[len(s)-1] = queued[T]{}
	l.stacks[c] = s[:len(s)-1]
	l.length--
}
