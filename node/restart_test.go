package node_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/peerd/peerd/node"
	"github.com/peerd/peerd/node/identity"
	"github.com/peerd/peerd/node/nodetest"
)

// What a node in a process of its own is told, by its environment.
const (
	childDir       = "PEERD_TEST_CHILD_DIR"
	childBootstrap = "PEERD_TEST_CHILD_BOOTSTRAP"
	childContact   = "PEERD_TEST_CHILD_CONTACT"
)

// TestChildNode is no test but a node that others kill: it echoes, and says on
// its output when it is online.
func TestChildNode(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("only run as a process of another test")
	}
	id, err := identity.Load(filepath.Join(dir, "identity"), "")
	if err != nil {
		t.Fatal(err)
	}
	cfg := nodetest.Config(t, "child", node.RoleClient, strings.Split(os.Getenv(childBootstrap), ","))
	cfg.Identity, cfg.Dir = id, filepath.Join(dir, "node")
	cfg.Listen = []string{"/ip4/127.0.0.1/udp/0/quic-v1"} // the death of a process ends TCP, but not QUIC
	m := nodetest.Start(t, cfg)
	echo(m)
	if text := os.Getenv(childContact); text != "" {
		link, err := identity.ParseLink(text)
		if err != nil {
			t.Fatal(err)
		}
		m.SetContacts([]identity.Link{link})
	}
	m.WaitOnline(t)
	fmt.Println("online")
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
}

// child is a node in a process of its own.
type child struct {
	t       *testing.T
	dir     string
	environ []string
	id      *identity.Identity
	cmd     *exec.Cmd
}

func newChild(t *testing.T, bootstrap []string, contact string) *child {
	t.Helper()
	id := nodetest.Config(t, "child", node.RoleClient, nil).Identity
	dir := t.TempDir()
	if err := id.Save(filepath.Join(dir, "identity"), ""); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, dir: dir, id: id, environ: []string{
		childDir + "=" + dir, childBootstrap + "=" + strings.Join(bootstrap, ","), childContact + "=" + contact,
	}}
	t.Cleanup(c.kill)
	c.start()
	return c
}

// start runs the node until it is online.
func (c *child) start() {
	c.t.Helper()
	c.cmd = exec.Command(os.Args[0], "-test.run=^TestChildNode$")
	c.cmd.Env = append(os.Environ(), c.environ...)
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	online := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() == "online" {
				close(online)
			}
		}
	}()
	select {
	case <-online:
	case <-time.After(nodetest.Patience):
		c.t.Fatal("the child does not come online")
	}
}

// kill ends the node without a goodbye.
func (c *child) kill() {
	if c.cmd != nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		c.cmd = nil
	}
}

// TestCallAfterTheCalleeWasKilled: the caller holds a connection to a process
// that is gone; it must not wait for that connection's end.
func TestCallAfterTheCalleeWasKilled(t *testing.T) {
	for name, known := range map[string]bool{"by a contact": true, "by somebody unknown": false} {
		t.Run(name, func(t *testing.T) {
			o := nodetest.New(t, 1, 1)
			alice := o.Clients[0]
			contact := ""
			if known {
				contact = alice.Link().String()
			}
			bob := newChild(t, o.Bootstrap(), contact)
			alice.SetContacts([]identity.Link{bob.id.Link()})
			alice.WaitPresence(t, bob.id.Account(), node.Connected)
			p, err := alice.Connect(t.Context(), bob.id.Link())
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, alice, p.Device)
			bob.kill()
			bob.start()
			ctx, cancel := context.WithTimeout(t.Context(), nodetest.Patience)
			defer cancel()
			begun := time.Now()
			if p, err = alice.Connect(ctx, bob.id.Link()); err != nil {
				t.Fatal(err)
			}
			roundTrip(t, alice, p.Device)
			t.Logf("connected again after %v", time.Since(begun))
		})
	}
}

// TestDeadCalleeIsUnreachable: where nobody restarts the process, the call ends
// as soon as the addresses were tried.
func TestDeadCalleeIsUnreachable(t *testing.T) {
	o := nodetest.New(t, 1, 1)
	alice := o.Clients[0]
	bob := newChild(t, o.Bootstrap(), "")
	alice.SetContacts([]identity.Link{bob.id.Link()})
	alice.WaitPresence(t, bob.id.Account(), node.Connected)
	bob.kill()
	if _, err := alice.Connect(t.Context(), bob.id.Link()); !errorIs(err, node.ErrUnreachable) {
		t.Errorf("error is %v, want ErrUnreachable", err)
	}
}
