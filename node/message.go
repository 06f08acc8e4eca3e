package node

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/presence"
)

const (
	messageVersion  = 1
	maxMessageBytes = 4 << 10 // two records of 1 kB in base64, a certificate, the rest
)

// errMessage: the other end sent something that is no presence message.
var errMessage = errors.New("bad presence message")

// presenceMessage is what two devices of contacts tell each other directly, once
// in each direction on a stream of overlay.MemberProtocol. The answer to an
// account that is no contact is empty but for the version.
type presenceMessage struct {
	Version     int    `json:"v"`
	Account     string `json:"account,omitempty"`
	Certificate []byte `json:"certificate,omitempty"`
	AccountRec  []byte `json:"account_record,omitempty"`  // sealed, as in the DHT
	PresenceRec []byte `json:"presence_record,omitempty"` // sealed, as in the DHT
	Goodbye     bool   `json:"goodbye,omitempty"`         // the sender leaves now
}

// greeting is a presence message whose shape is checked; nothing in it is verified.
type greeting struct {
	account  identity.AccountID
	cert     identity.Certificate
	records  sealed
	goodbye  bool
	stranger bool // the sender does not know us
}

func parseMessage(data []byte) (greeting, error) {
	var g greeting
	if len(data) > maxMessageBytes {
		return g, fmt.Errorf("%w: %d bytes", errMessage, len(data))
	}
	var m presenceMessage
	if err := json.Unmarshal(data, &m); err != nil {
		return g, fmt.Errorf("%w: %w", errMessage, err)
	}
	if m.Version != messageVersion {
		return g, fmt.Errorf("%w: version %d, this peerd speaks %d", errMessage, m.Version, messageVersion)
	}
	if m.Account == "" {
		return greeting{stranger: true}, nil
	}
	var err error
	if g.account, err = identity.ParseAccountID(m.Account); err != nil {
		return g, fmt.Errorf("%w: account: %w", errMessage, err)
	}
	if g.cert, err = identity.ParseCertificate(m.Certificate); err != nil {
		return g, fmt.Errorf("%w: %w", errMessage, err)
	}
	if len(m.AccountRec) > presence.MaxSize || len(m.PresenceRec) > presence.MaxSize {
		return g, fmt.Errorf("%w: %w", errMessage, presence.ErrTooLarge)
	}
	g.records = sealed{account: m.AccountRec, presence: m.PresenceRec}
	g.goodbye = m.Goodbye
	return g, nil
}

// ownMessage tells who and where this device is.
func (n *Node) ownMessage(goodbye bool) ([]byte, uint64, error) {
	m := presenceMessage{
		Version: messageVersion, Account: n.id.Account().String(),
		Certificate: n.id.Certificate().Marshal(), Goodbye: goodbye,
	}
	var seq uint64
	if !goodbye {
		s, err := n.own()
		if err != nil {
			return nil, 0, err
		}
		m.AccountRec, m.PresenceRec, seq = s.account, s.presence, s.seq
	}
	data, err := json.Marshal(m)
	return data, seq, err
}
