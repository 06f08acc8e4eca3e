package localapi

import (
	"net/http"
	"os"
	"runtime"
	"strconv"

	"github.com/peerd/peerd/cmd/peerd/internal/phone"
)

func (s *Server) getVersion(http.ResponseWriter, *http.Request) (any, error) {
	return Version{
		Version: s.version, API: APIVersion, Go: runtime.Version(), PID: os.Getpid(),
		Goroutines: runtime.NumGoroutine(),
	}, nil
}

func (s *Server) getStatus(http.ResponseWriter, *http.Request) (any, error) {
	return s.status(s.phone.Status()), nil
}

func (s *Server) getLink(http.ResponseWriter, *http.Request) (any, error) {
	return Link{Link: s.phone.Link()}, nil
}

func (s *Server) getContacts(http.ResponseWriter, *http.Request) (any, error) {
	return convert(s.phone.Contacts(), contact), nil
}

func (s *Server) postContact(w http.ResponseWriter, r *http.Request) (any, error) {
	in, err := decode[AddContact](w, r)
	if err != nil {
		return nil, err
	}
	if err := s.phone.AddContact(in.Name, in.Link); err != nil {
		return nil, err
	}
	return s.contactNamed(in.Name)
}

func (s *Server) deleteContact(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.phone.RemoveContact(r.PathValue("name"))
}

func (s *Server) blockContact(_ http.ResponseWriter, r *http.Request) (any, error) {
	name := r.PathValue("name")
	if err := s.phone.BlockContact(name); err != nil {
		return nil, err
	}
	return s.contactNamed(name)
}

// contactNamed returns a contact as it is after a change.
func (s *Server) contactNamed(name string) (any, error) {
	for _, c := range s.phone.Contacts() {
		if c.Name == name {
			return contact(c), nil
		}
	}
	return nil, phone.ErrNoSuchContact // removed in between
}

func (s *Server) getCalls(_ http.ResponseWriter, r *http.Request) (any, error) {
	calls := s.phone.Calls()
	if text := r.URL.Query().Get("limit"); text != "" {
		limit, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return nil, Errorf(CodeBadRequest, "limit is %q: it must be a number, 0 for all", clip(text))
		}
		if limit > 0 && int(limit) < len(calls) {
			calls = calls[:limit]
		}
	}
	return convert(calls, call), nil
}

func (s *Server) postCall(w http.ResponseWriter, r *http.Request) (any, error) {
	in, err := decode[Dial](w, r)
	if err != nil {
		return nil, err
	}
	if in.To == "" {
		return nil, Errorf(CodeBadRequest, "\"to\" is missing: the contact name or link to call")
	}
	id, err := s.phone.Dial(in.To)
	if err != nil {
		return nil, err
	}
	return s.callByID(id)
}

func (s *Server) getCall(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.callByID(r.PathValue("id"))
}

func (s *Server) callByID(id string) (any, error) {
	c, err := s.phone.Call(id)
	if err != nil {
		return nil, err
	}
	return call(c), nil
}

// control makes the handler of a verb that needs no more than a call.
func control(v verb) handler {
	return func(s *Server, _ http.ResponseWriter, r *http.Request) (any, error) {
		id, err := s.pick(r.PathValue("id"), v)
		if err != nil {
			return nil, err
		}
		if err := v.do(s.phone, id); err != nil {
			return nil, err
		}
		return s.callByID(id)
	}
}

func (s *Server) postDTMF(w http.ResponseWriter, r *http.Request) (any, error) {
	in, err := decode[DTMF](w, r)
	if err != nil {
		return nil, err
	}
	id, err := s.pick(r.PathValue("id"), dtmf)
	if err != nil {
		return nil, err
	}
	if err := s.phone.DTMF(id, in.Digits); err != nil {
		return nil, err
	}
	return s.callByID(id)
}

func (s *Server) getDevices(http.ResponseWriter, *http.Request) (any, error) {
	return convert(s.phone.Devices(), accountDevice), nil
}

func (s *Server) postDevice(w http.ResponseWriter, r *http.Request) (any, error) {
	in, err := decode[AddDevice](w, r)
	if err != nil {
		return nil, err
	}
	cert, err := s.phone.AddDevice(in.Request)
	if err != nil {
		return nil, err
	}
	return AddedDevice{Certificate: cert}, nil
}

func (s *Server) deleteDevice(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.phone.RevokeDevice(r.PathValue("id"))
}

func (s *Server) getAudioDevices(http.ResponseWriter, *http.Request) (any, error) {
	devices, err := s.phone.AudioDevices()
	if err != nil {
		return nil, err
	}
	return convert(devices, audioDevice), nil
}
