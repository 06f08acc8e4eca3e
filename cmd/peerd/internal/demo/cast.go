package demo

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

// cast are the five daemons: two servers that others join by, and three phones.
// Carol takes no part in the call: she makes the overlay larger than it.
type cast struct {
	servers           [2]*daemon
	alice, bob, carol *daemon
}

// raise starts the overlay and waits until everybody is logged in.
func (s *stage) raise(r *Report) (c cast, err error) {
	s.say("starting two servers and three phones")
	var known []string // addresses of the servers so far
	for i := range c.servers {
		if c.servers[i], err = s.start(fmt.Sprintf("server-%d", i+1), "server", "null", known); err != nil {
			return c, err
		}
		var st localapi.Status
		if st, err = c.servers[i].statusUntil(s.ctx, hasAddress); err != nil {
			return c, err
		}
		known = append(known, st.Addresses...)
	}
	for _, p := range []struct {
		d           **daemon
		name, audio string
	}{
		{&c.alice, "alice", s.card(0, "alice")},
		{&c.bob, "bob", s.card(1, "bob")},
		{&c.carol, "carol", "null"},
	} {
		if *p.d, err = s.start(p.name, "client", p.audio, known); err != nil {
			return c, err
		}
	}
	return c, s.login(r)
}

func hasAddress(st localapi.Status) bool { return len(st.Addresses) > 0 }

// card is the sound card of a phone: it speaks one file and records another.
func (s *stage) card(voice int, name string) string {
	return "file:" + s.spoken[voice].file + "," + s.heard(name)
}

// heard is the file with what name's loudspeaker played.
func (s *stage) heard(name string) string { return filepath.Join(s.out, name+"-heard.wav") }

// start runs a daemon that is reached on the loopback interface alone. Should it
// end before it is told to, everything ends.
func (s *stage) start(name, role, audio string, bootstrap []string) (*daemon, error) {
	args := []string{
		"--listen", "/ip4/127.0.0.1/udp/0/quic-v1", "--listen", "/ip4/127.0.0.1/tcp/0",
		"--role", role, "--mdns=false", "--audio", audio, "--answer", "ask",
	}
	for _, b := range bootstrap {
		args = append(args, "--bootstrap", b)
	}
	d, err := startDaemon(s.program, s.homes, s.logs(), name, args...)
	if err != nil {
		return nil, err
	}
	s.daemons = append(s.daemons, d)
	s.watching.Go(func() {
		select {
		case <-d.done:
			s.cancel(d.died())
		case <-s.ctx.Done():
		}
	})
	return d, nil
}

// login waits until every daemon is online and knows of another.
func (s *stage) login(r *Report) error {
	ctx, cancel := context.WithTimeoutCause(s.ctx, loginTime, fmt.Errorf("not everybody was online within %v", loginTime))
	defer cancel()
	for i, d := range s.daemons {
		st, err := d.statusUntil(ctx, func(st localapi.Status) bool {
			return st.State == localapi.StateOnline && !st.Alone
		})
		if err != nil {
			return err
		}
		n := Node{Name: d.name, Role: "phone", LoginMS: float64(st.Login.TookMS)}
		if i < len(cast{}.servers) {
			n.Role = "server"
		}
		r.Nodes, r.LoginMS = append(r.Nodes, n), append(r.LoginMS, n.LoginMS)
		s.say("%s is online: its login took %.0f ms", n.Name, n.LoginMS)
	}
	return nil
}

// neighbours notes how many others each node is connected to.
func (s *stage) neighbours(r *Report) error {
	for i, d := range s.daemons {
		st, err := d.api.Status(s.ctx)
		if err != nil {
			return fmt.Errorf("ask %s for its status: %w", d.name, err)
		}
		r.Nodes[i].Peers = st.Overlay.Peers
	}
	return nil
}

// introduce makes the three phones contacts of each other.
func (s *stage) introduce(c cast) error {
	phones := []*daemon{c.alice, c.bob, c.carol}
	for _, whose := range phones {
		link, err := whose.api.Link(s.ctx)
		if err != nil {
			return fmt.Errorf("ask %s for a link: %w", whose.name, err)
		}
		for _, who := range phones {
			if who == whose {
				continue
			}
			if _, err := who.api.AddContact(s.ctx, whose.name, link.Link); err != nil {
				return fmt.Errorf("add %s to the contacts of %s: %w", whose.name, who.name, err)
			}
		}
	}
	s.say("alice, bob and carol have exchanged contact links")
	return nil
}
