package gate

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// admittedLife is how long who was told to come may open a connection.
	admittedLife = 10 * time.Second
	// maxAdmitted bounds the table; the oldest make room.
	maxAdmitted = 8192
	// tries is how many connections one admission opens: a dial may be made again.
	tries = 2
	// A question is sent again where no answer comes in time: what comes from the same
	// address within repeatedIn, maxRepeats times, is the same one.
	repeatedIn = 2 * time.Second
	maxRepeats = 3
)

// Admitted are the addresses from which a connection is awaited. By QUIC it comes
// from the address and port that asked; by TCP, where that fails, from another
// port. The zero value is ready.
type Admitted struct {
	mu    sync.Mutex
	await map[netip.AddrPort]awaited
	tcp   map[netip.Addr]int // connections that may come from this IP address
	queue []netip.AddrPort   // in the order in which they were told to come
	count uint64
}

type awaited struct {
	class   uint8
	left    int
	repeats int
	until   time.Time
}

// Add notes at now that a connection from addr is awaited for work of a class. It
// returns the classes of the work for which nobody came in time.
func (a *Admitted) Add(addr netip.AddrPort, class uint8, now time.Time) (missed []uint8) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.await == nil {
		a.await, a.tcp = make(map[netip.AddrPort]awaited), make(map[netip.Addr]int)
	}
	missed = a.sweep(now)
	if _, again := a.await[addr]; again {
		a.drop(addr)
	}
	a.await[addr] = awaited{class: class, left: tries, until: now.Add(admittedLife)}
	a.tcp[addr.Addr()]++
	a.queue = append(a.queue, addr)
	return missed
}

// sweep puts out who is late, and the oldest when there is no room.
func (a *Admitted) sweep(now time.Time) (missed []uint8) {
	for len(a.queue) > 0 {
		first := a.queue[0]
		w, ok := a.await[first]
		if ok && len(a.queue) < maxAdmitted && now.Before(w.until) {
			return missed
		}
		if a.queue = a.queue[1:]; ok {
			a.drop(first)
			if w.left == tries {
				missed = append(missed, w.class)
			}
		}
	}
	return missed
}

// Repeated says that whoever asks from addr at now was told to come lately, has not
// come yet, and is awaited: its work need not be paid for again.
func (a *Admitted) Repeated(addr netip.AddrPort, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	w, ok := a.await[addr]
	if !ok || w.left < tries || w.repeats == maxRepeats || now.After(w.until.Add(repeatedIn-admittedLife)) {
		return false
	}
	w.repeats++
	a.await[addr] = w
	return true
}

func (a *Admitted) drop(addr netip.AddrPort) {
	delete(a.await, addr)
	if ip := addr.Addr(); a.tcp[ip] > 1 {
		a.tcp[ip]--
	} else {
		delete(a.tcp, ip)
	}
}

// Take says whether a connection from addr is awaited at now, and counts it.
func (a *Admitted) Take(addr netip.AddrPort, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	w, ok := a.await[addr]
	if !ok || w.left == 0 || !now.Before(w.until) {
		return false
	}
	if w.left == tries {
		a.count++
	}
	w.left--
	a.await[addr] = w
	return true
}

// TakeTCP says whether somebody at the IP address of addr may connect by TCP, and
// counts it.
func (a *Admitted) TakeTCP(addr netip.AddrPort) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tcp[addr.Addr()] == 0 {
		return false
	}
	a.tcp[addr.Addr()]--
	return true
}

// Count is how many of those told to come have come, by QUIC.
func (a *Admitted) Count() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count
}
