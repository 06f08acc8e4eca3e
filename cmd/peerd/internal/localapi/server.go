package localapi

import (
	"log/slog"

	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

// Phone is what the server needs of *phone.Phone, which has more. All methods
// may be called from many goroutines.
type Phone interface {
	Status() phone.Status
	Link() string

	Contacts() []phone.Contact
	AddContact(name, link string) error
	RemoveContact(name string) error
	BlockContact(name string) error

	Calls() []phone.Call
	Call(id string) (phone.Call, error)
	Dial(who string) (id string, err error)
	Answer(id string) error
	Reject(id string) error
	Hangup(id string) error
	Hold(id string) error
	Resume(id string) error
	Mute(id string) error
	Unmute(id string) error
	DTMF(id, digits string) error

	Devices() []phone.AccountDevice
	AddDevice(request string) (certificate string, err error)
	RevokeDevice(id string) error
	AudioDevices() ([]phone.AudioDevice, error)

	Subscribe() (<-chan phone.Event, func())
}

var _ Phone = (*phone.Phone)(nil)

// ServerConfig is what a Server needs.
type ServerConfig struct {
	Socket  string // path of the unix socket; its directory is made 0700 if missing
	Phone   Phone
	Version string // of the program
	Log     *slog.Logger
}
