package media

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
)

// stunWait bounds the wait for a STUN server's answer.
const stunWait = 5 * time.Second

// wireCandidate is the JSON in Candidate.Data. Unknown fields are ignored.
type wireCandidate struct {
	Candidate string `json:"candidate"` // "candidate:..." as in RFC 8839 section 5.1
}

// AddCandidate takes what the other end reported as a Candidate event, in any
// order and also before its description. Errors wrap ErrBadCandidate.
func (s *Session) AddCandidate(data []byte) error {
	line, err := readCandidate(data)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadCandidate, err)
	}
	s.mu.Lock()
	s.accepted++
	full, early := s.accepted > maxCandidates, !s.remote
	if early && !full {
		s.waiting = append(s.waiting, line)
	}
	s.mu.Unlock()
	if full {
		return fmt.Errorf("%w: more than %d", ErrBadCandidate, maxCandidates)
	}
	if early {
		return nil
	}
	return s.giveCandidate(line)
}

func readCandidate(data []byte) (string, error) {
	if len(data) > maxCandidateLen {
		return "", fmt.Errorf("%d bytes, at most %d are read", len(data), maxCandidateLen)
	}
	var w wireCandidate
	if err := json.Unmarshal(data, &w); err != nil {
		return "", err
	}
	_, err := parseCandidate(w.Candidate)
	return w.Candidate, err
}

func (s *Session) giveCandidate(line string) error {
	first := uint16(0)
	err := s.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: line, SDPMLineIndex: &first})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadCandidate, s.closedOr(err))
	}
	return nil
}

func netipAddr(host string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return addr, fmt.Errorf("candidate with a name for an address")
	}
	return addr, nil
}

// localCandidate is called by pion for each candidate it finds.
func (s *Session) localCandidate(c *webrtc.ICECandidate) {
	if c != nil {
		s.tell(c.ToJSON().Candidate)
	}
}

// otherHosts are the candidates of this machine's addresses that our own agent
// has none of (see udpMux.GetListenAddresses), as candidate lines.
func (s *Session) otherHosts() []string {
	if s.cfg.RelayOnly {
		return nil
	}
	own := make(map[string]bool)
	for _, a := range s.socket.mux.GetListenAddresses() {
		own[a.String()] = true
	}
	var lines []string
	for _, a := range s.socket.mux.addresses() {
		if own[a.String()] {
			continue
		}
		c, err := ice.NewCandidateHost(&ice.CandidateHostConfig{
			Network: "udp", Address: a.IP.String(), Port: a.Port, Component: ice.ComponentRTP,
		})
		if err != nil {
			s.log.Debug("building a candidate", "err", err)
			continue
		}
		lines = append(lines, "candidate:"+c.Marshal())
	}
	return lines
}

// tell makes a candidate an event, unless the description will contain it.
func (s *Session) tell(line string) {
	data, err := json.Marshal(wireCandidate{line})
	if err != nil {
		return
	}
	s.mu.Lock()
	late := s.described
	s.mu.Unlock()
	if late {
		s.post(Candidate{data})
	}
}

// relayServers are the servers that pion asks: TURN only, see askSTUN.
func relayServers(all []ICEServer) []webrtc.ICEServer {
	var out []webrtc.ICEServer
	for _, server := range all {
		for _, url := range server.URLs {
			if strings.HasPrefix(url, "turn") {
				out = append(out, webrtc.ICEServer{URLs: []string{url}, Username: server.Username, Credential: server.Password})
			}
		}
	}
	return out
}

// askSTUN asks the STUN servers, from the very socket the call will use, how
// that socket looks from outside, and tells the other end. pion would ask from
// a socket of its own, whose hole in the NAT is then the only useful one. Our
// own agent needs no such candidate: packets leave by the host candidate that
// is its base (RFC 8445 section 5.1.3 would prune it).
func (s *Session) askSTUN() {
	if s.cfg.RelayOnly {
		return
	}
	for _, server := range s.cfg.ICEServers {
		for _, url := range server.URLs {
			if uri, err := stun.ParseURI(url); err == nil && uri.Scheme == stun.SchemeTypeSTUN {
				s.spawn(func() { s.askOneSTUN(uri) })
			}
		}
	}
}

func (s *Session) askOneSTUN(uri *stun.URI) {
	addr, err := s.engine.net.ResolveUDPAddr("udp", net.JoinHostPort(uri.Host, fmt.Sprint(uri.Port)))
	if err != nil {
		s.log.Debug("resolving a STUN server", "server", uri.Host, "err", err)
		return
	}
	mapped, err := s.socket.mux.GetXORMappedAddrContext(s.ctx, addr, stunWait)
	if err != nil {
		s.log.Debug("asking a STUN server", "server", uri.Host, "err", err)
		return
	}
	local := s.socket.mux.LocalAddr().(*net.UDPAddr)
	c, err := ice.NewCandidateServerReflexive(&ice.CandidateServerReflexiveConfig{
		Network: "udp", Address: mapped.IP.String(), Port: mapped.Port, Component: ice.ComponentRTP,
		RelAddr: "0.0.0.0", RelPort: local.Port, // RFC 8839 section 5.1: may be hidden
	})
	if err != nil {
		s.log.Debug("building a candidate", "err", err)
		return
	}
	s.tell("candidate:" + c.Marshal())
}
