package relay

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// maxClient bounds the name of a client in bytes; a libp2p peer id has 52.
const maxClient = 128

// credential makes a user name that says until when and for whom it is good,
// and a password that only this server can make (the TURN REST scheme,
// draft-uberti-behave-turn-rest-00 section 2.2, with SHA-256): nothing needs
// to be stored.
func (s *Server) credential(client string) (username, password string) {
	expires := s.now().Add(s.limits.Credential).Unix()
	username = strconv.FormatInt(expires, 10) + ":" + client
	return username, s.password(username)
}

func (s *Server) password(username string) string {
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write([]byte(username))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// authenticate answers pion with the key that the request must be signed with.
// An allocation is made with a credential that has not expired; one that is
// held may be refreshed with the credential it was made with, or a call would
// end with it.
func (s *Server) authenticate(ra *turn.RequestAttributes) (userID string, key []byte, ok bool) {
	expiry, client, found := strings.Cut(ra.Username, ":")
	unix, err := strconv.ParseInt(expiry, 10, 64)
	if !found || err != nil || client == "" || len(client) > maxClient {
		s.refused.Add(1)
		return "", nil, false
	}
	until := time.Unix(unix, 0)
	if ra.Method != stun.MethodAllocate {
		until = until.Add(s.limits.Lifetime)
	}
	if !s.now().Before(until) {
		s.refused.Add(1)
		return "", nil, false
	}
	who := account{client: client, from: network(ra.SrcAddr).String()}
	return who.String(), turn.GenerateAuthKey(ra.Username, ra.Realm, s.password(ra.Username)), true
}
