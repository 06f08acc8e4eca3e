package e2e_test

import (
	"strings"
	"testing"

	"github.com/peerd/peerd/test/harness"
)

// TestBuildWithoutCgoServesAndEchoes: a node without any C is the only server
// of an overlay and sends back what the caller of the ordinary build says.
func TestBuildWithoutCgoServesAndEchoes(t *testing.T) {
	t.Parallel()
	server := harness.Start(t, harness.Options{Name: "echo", Headless: true, First: true, Role: "server", Answer: "echo"})
	server.AwaitOnline(t)
	opt := alice()
	opt.Bootstrap = []*harness.Daemon{server}
	a := harness.Start(t, opt)
	if s := a.AwaitOnline(t); !s.Login.Published || s.Login.Acks == 0 {
		t.Errorf("the server without cgo keeps no records: %+v", s.Login)
	}
	a.Run(t, 0, "contacts", "add", "echo", server.Link)
	call := a.Go(t, "call", "echo", "--for", talk.String(), "--json").Call(0)
	if call.Outcome != "answered" || call.Path != "direct" {
		t.Errorf("the call is %+v", call)
	}
	if res := server.Run(t, 1, "call", a.Link); !strings.Contains(res.Stderr, "cgo") {
		t.Errorf("a build that cannot speak says of a call: %s", res.Stderr)
	}
	a.Heard(t).Is(t, aliceSays())
}

// TestBuildWithoutCgoCarriesTheCallOfTwoOthers: as server it keeps their
// records and introduces them.
func TestBuildWithoutCgoCarriesTheCallOfTwoOthers(t *testing.T) {
	t.Parallel()
	server := harness.Start(t, harness.Options{Name: "server", Headless: true, First: true, Role: "server"})
	server.AwaitOnline(t)
	oa, ob := alice(), bob()
	oa.Bootstrap, ob.Bootstrap = []*harness.Daemon{server}, []*harness.Daemon{server}
	a, b := pair(t, oa, ob)
	call, _, _ := connect(t, a, b)
	a.AwaitPlayed(t, talk)
	b.AwaitPlayed(t, talk)
	a.Run(t, 0, "hangup")
	call.Call(0)
	a.Heard(t).Is(t, bobSays())
	b.Heard(t).Is(t, aliceSays())
}
