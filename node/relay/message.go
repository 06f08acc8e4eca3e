package relay

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// The wire: one request, one reply, each a 16-bit big-endian length and that
// many bytes of JSON. Unknown fields are ignored; a version above ours is
// refused in words.
const (
	version    = 1
	maxMessage = 2048 // bytes of one JSON body
	maxText    = 256  // bytes of a user name, a password, a reason
	maxTTL     = 24 * time.Hour
)

type request struct {
	Version int `json:"v"`
}

type reply struct {
	Version  int    `json:"v"`
	Error    string `json:"error,omitempty"` // why there is no grant; nothing else is set
	Port     int    `json:"port,omitempty"`  // UDP and TCP, at the address the stream came to
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	TTL      int    `json:"ttl_s,omitempty"` // seconds; clocks of the two ends need not agree
}

// Grant is what a phone needs to use a relay.
type Grant struct {
	STUN     []string // "stun:ip:port"
	TURN     []string // "turn:ip:port?transport=udp", then tcp
	Username string
	Password string
	Expires  time.Time // by the phone's clock; allocations made before it live on
}

// Serve answers one request on a stream whose other end is authenticated as
// client (its peer id). The stream is the caller's to bound in time and to
// close.
func (s *Server) Serve(rw io.ReadWriter, client string) error {
	body, err := readMessage(rw)
	if err != nil {
		return fmt.Errorf("read a relay request: %w", err)
	}
	answer := reply{Version: version}
	if err = parseRequest(body); err != nil {
		s.refused.Add(1)
		answer.Error = err.Error()
	} else {
		answer = s.grant(client)
	}
	if werr := writeMessage(rw, answer); werr != nil {
		return fmt.Errorf("answer a relay request: %w", werr)
	}
	return err
}

func (s *Server) grant(client string) reply {
	s.mu.Lock()
	closed, full := s.closed, !s.roomFor(account{client: client})
	s.mu.Unlock()
	r := reply{Version: version}
	switch {
	case closed:
		r.Error = "the relay is closing"
	case client == "" || len(client) > maxClient:
		r.Error = "the stream names no client"
	case full:
		r.Error = "no room for another allocation"
	default:
		r.Port, r.TTL = s.port, int(s.limits.Credential/time.Second)
		r.Username, r.Password = s.credential(client)
		return r
	}
	s.refused.Add(1)
	return r
}

// Request asks the server at the other end of the stream for a grant. The
// address is the one by which the stream reached it: it is known to work from
// here, whatever the server thinks its own is. Errors wrap ErrRefused,
// ErrBadMessage or ErrNewerVersion, or are the stream's own.
func Request(rw io.ReadWriter, server netip.Addr, now time.Time) (Grant, error) {
	if err := writeMessage(rw, request{Version: version}); err != nil {
		return Grant{}, fmt.Errorf("ask for a relay: %w", err)
	}
	body, err := readMessage(rw)
	if err != nil {
		return Grant{}, fmt.Errorf("read the relay's answer: %w", err)
	}
	return parseGrant(body, server, now)
}

func parseRequest(body []byte) error {
	var r request
	if err := json.Unmarshal(body, &r); err != nil {
		return fmt.Errorf("%w: %s", ErrBadMessage, clip(err.Error()))
	}
	return checkVersion(r.Version)
}

func parseGrant(body []byte, server netip.Addr, now time.Time) (Grant, error) {
	var r reply
	if err := json.Unmarshal(body, &r); err != nil {
		return Grant{}, fmt.Errorf("%w: %s", ErrBadMessage, clip(err.Error()))
	}
	if err := checkVersion(r.Version); err != nil {
		return Grant{}, err
	}
	if r.Error != "" {
		return Grant{}, fmt.Errorf("%w: %q", ErrRefused, clip(r.Error))
	}
	ttl := time.Duration(r.TTL) * time.Second
	if r.Port < 1 || r.Port > 65535 || r.TTL < 1 || r.TTL > int(maxTTL/time.Second) ||
		!plain(r.Username) || !plain(r.Password) {
		return Grant{}, fmt.Errorf("%w: a grant that cannot be used", ErrBadMessage)
	}
	at := net.JoinHostPort(server.Unmap().WithZone("").String(), strconv.Itoa(r.Port))
	return Grant{
		STUN:     []string{"stun:" + at},
		TURN:     []string{"turn:" + at + "?transport=udp", "turn:" + at + "?transport=tcp"},
		Username: r.Username,
		Password: r.Password,
		Expires:  now.Add(ttl),
	}, nil
}

func checkVersion(v int) error {
	switch {
	case v < 1:
		return fmt.Errorf("%w: no version", ErrBadMessage)
	case v > version:
		return fmt.Errorf("%w: version %d, this end knows %d", ErrNewerVersion, v, version)
	}
	return nil
}

// plain is true of text that is not empty, not long, and printable ASCII.
func plain(text string) bool {
	if text == "" || len(text) > maxText {
		return false
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

func clip(text string) string { return text[:min(len(text), maxText)] }

func readMessage(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(head[:])
	if n == 0 || n > maxMessage {
		return nil, fmt.Errorf("%w: %d bytes", ErrBadMessage, n)
	}
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	return body, err
}

func writeMessage(w io.Writer, message any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	frame := binary.BigEndian.AppendUint16(nil, uint16(len(body)))
	_, err = w.Write(append(frame, body...))
	return err
}
