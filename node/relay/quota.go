package relay

import (
	"net"
	"net/netip"
	"strings"
)

// network is what counts as one address of clients: an IPv4 address or an IPv6
// /64, which one customer of a provider has for itself (RFC 6177).
func network(of net.Addr) netip.Prefix {
	addr := addrOf(of)
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // an error: the zero address, which has the zero prefix
	return p
}

// account is whom an allocation is counted against, and from where: phones cost
// nothing to make, addresses do. pion hands it around as a text.
type account struct {
	client string
	from   string // network, as text; empty while it is not known
}

func (a account) String() string { return a.from + " " + a.client }

func parseAccount(userID string) account {
	from, client, _ := strings.Cut(userID, " ")
	return account{client: client, from: from}
}

// roomFor needs s.mu.
func (s *Server) roomFor(a account) bool {
	return !s.closed && s.clients[a.client] < s.limits.PerClient &&
		(a.from == "" || s.from[a.from] < s.limits.PerAddress) && len(s.relayed) < s.limits.Allocations
}

// withinQuota tells pion whether this client may have one more allocation. It
// gives the client the right error code (486); the count itself is taken in
// reserve.
func (s *Server) withinQuota(userID, _ string, _ net.Addr) bool {
	s.mu.Lock()
	ok := s.roomFor(parseAccount(userID))
	s.mu.Unlock()
	if !ok {
		s.refused.Add(1)
	}
	return ok
}

// count adds n to the allocations of an account; it needs s.mu.
func (s *Server) count(a account, n int) {
	add(s.clients, a.client, n)
	add(s.from, a.from, n)
}

func add(counts map[string]int, key string, n int) {
	if counts[key] += n; counts[key] == 0 {
		delete(counts, key)
	}
}
