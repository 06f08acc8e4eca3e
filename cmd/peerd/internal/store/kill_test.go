package store

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
)

const (
	killEnv  = "PEERD_TEST_STORE"
	killRuns = 20
)

// TestHelperWritesForever is the process that TestKill kills. Each run n writes
// values, contacts and calls as fast as it can and says what is acknowledged.
func TestHelperWritesForever(t *testing.T) {
	path := os.Getenv(killEnv)
	if path == "" {
		t.Skip("only a helper of TestKill")
	}
	s, err := Open(path)
	ok(t, err)
	run := rand.Uint64()
	for i := 1; ; i++ {
		id := fmt.Sprintf("%x-%d", run, i)
		c := testCall(id, int64(i))
		ok(t, s.PutCall(c))
		fmt.Println("live", id)
		if i%2 == 0 {
			c.Ended, c.Reason = int64(i+5), "hangup"
			ok(t, s.PutCall(c))
			fmt.Println("ended", id)
		}
		if i%3 == 0 {
			ok(t, s.AddContact(id, newIdentity(t, "bob").Link(), now))
			fmt.Println("contact", id)
		}
		ok(t, s.SetValue(id, []byte(id)))
		fmt.Println("value", id)
	}
}

// TestKill kills the writing process at random moments: every acknowledged
// change is there afterwards, of all runs, and calls left live are lost.
func TestKill(t *testing.T) {
	path := tempFile(t)
	acknowledged := make(map[string]map[string]bool)
	for range killRuns {
		writeUntilKilled(t, path, 1+rand.IntN(40), acknowledged)
		s, err := Open(path)
		ok(t, err)
		checkAcknowledged(t, s, acknowledged)
		ok(t, s.Close())
	}
	t.Logf("acknowledged: %d calls, %d ended, %d contacts, %d values", len(acknowledged["live"]),
		len(acknowledged["ended"]), len(acknowledged["contact"]), len(acknowledged["value"]))
}

// writeUntilKilled kills the helper in the midst of its work after n lines.
func writeUntilKilled(t *testing.T, path string, n int, acknowledged map[string]map[string]bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelperWritesForever$")
	cmd.Env = append(os.Environ(), killEnv+"="+path)
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	seen := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var what, id string
		if _, err := fmt.Sscanf(lines.Text(), "%s %s", &what, &id); err != nil {
			continue
		}
		if acknowledged[what] == nil {
			acknowledged[what] = make(map[string]bool)
		}
		acknowledged[what][id] = true
		if seen++; seen == n {
			ok(t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); err == nil || seen < n {
		t.Fatalf("helper ended by itself (%v) after %d lines", err, seen)
	}
}

func checkAcknowledged(t *testing.T, s *Store, acknowledged map[string]map[string]bool) {
	t.Helper()
	for id := range acknowledged["live"] {
		c, err := s.Call(id)
		if err != nil || c.Ended == 0 || acknowledged["ended"][id] && c.Reason != "hangup" {
			t.Fatalf("call %s: %+v, %v", id, c, err)
		}
	}
	for id := range acknowledged["contact"] {
		if _, err := s.Contact(id); err != nil {
			t.Fatal(err)
		}
	}
	for id := range acknowledged["value"] {
		if v, err := s.Value(id); err != nil || string(v) != id {
			t.Fatalf("value %s: %q, %v", id, v, err)
		}
	}
}
