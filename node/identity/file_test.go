package identity

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func tempFile(t *testing.T) string { return filepath.Join(t.TempDir(), "identity.json") }

func save(t *testing.T, id *Identity, path, passphrase string) []byte {
	t.Helper()
	if err := id.Save(path, passphrase); err != nil {
		t.Fatal(err)
	}
	return must(os.ReadFile(path))(t)
}

// same compares all that a file keeps.
func same(t *testing.T, a, b *Identity) {
	t.Helper()
	rawA, rawB := must(json.Marshal(a.body()))(t), must(json.Marshal(b.body()))(t)
	if !bytes.Equal(rawA, rawB) || a.Device() != b.Device() || a.Account() != b.Account() {
		t.Errorf("identities differ:\n%s\n%s", rawA, rawB)
	}
}

func TestSaveAndLoad(t *testing.T) {
	alice := newIdentity(t, "alice")
	revoked, laptop := linkDevice(t, alice, "old phone"), linkDevice(t, alice, "laptop")
	if err := alice.Revoke(revoked.Device()); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.RotateLink(); err != nil {
		t.Fatal(err)
	}
	unlinked := must(NewDevice("unlinked", nil))(t)
	for name, id := range map[string]*Identity{"account": alice, "linked": laptop, "unlinked": unlinked} {
		path := tempFile(t)
		save(t, id, path, "")
		loaded, err := Load(path, "")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, id, loaded)
		if info := must(os.Stat(path))(t); info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", info.Mode())
		}
	}
}

func TestSealedFile(t *testing.T) {
	path := tempFile(t)
	id := newIdentity(t, "alice")
	raw := save(t, id, path, "correct horse")
	if bytes.Contains(raw, []byte("alice")) || bytes.Contains(raw, []byte("seed")) {
		t.Error("a sealed file shows its content")
	}
	same(t, id, must(Load(path, "correct horse"))(t))
	if _, err := Load(path, ""); !errors.Is(err, ErrSealed) || !strings.Contains(err.Error(), "PEERD_PASSPHRASE") {
		t.Errorf("no passphrase: %v", err)
	}
	if _, err := Load(path, "battery staple"); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
}

func TestSaveReplacesOnlyItsOwnFile(t *testing.T) {
	path := tempFile(t)
	first, other := newIdentity(t, "first"), newIdentity(t, "other")
	raw := save(t, first, path, "")
	if err := other.Save(path, ""); !errors.Is(err, ErrExists) {
		t.Errorf("over another identity: %v", err)
	}
	if !bytes.Equal(must(os.ReadFile(path))(t), raw) {
		t.Error("the file changed")
	}
	if _, err := first.RotateLink(); err != nil {
		t.Fatal(err)
	}
	save(t, first, path, "")
	loaded := must(Load(path, ""))(t)
	if _, err := loaded.RotateLink(); err != nil {
		t.Fatal(err)
	}
	save(t, loaded, path, "")
	if names := must(filepath.Glob(filepath.Join(filepath.Dir(path), "*")))(t); !slices.Equal(names, []string{path}) {
		t.Errorf("left behind: %v", names)
	}
}

func TestSaveThatFailsLeavesNothing(t *testing.T) {
	path := tempFile(t)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := newIdentity(t, "alice").Save(path, ""); err == nil {
		t.Error("saved over a directory")
	}
	if err := newIdentity(t, "alice").Save(filepath.Join(path, "no", "where"), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into nowhere: %v", err)
	}
	if names := must(filepath.Glob(path + "*"))(t); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

func TestSaveAfterACrashedSave(t *testing.T) {
	path := tempFile(t)
	if err := os.WriteFile(path+".new", []byte(`{"version":1,"na`), 0o600); err != nil {
		t.Fatal(err)
	}
	id := newIdentity(t, "alice")
	save(t, id, path, "")
	same(t, id, must(Load(path, ""))(t))
}

func TestLoadRefusesInWordsAndChangesNothing(t *testing.T) {
	good := must(newIdentity(t, "alice").encodeFile(""))(t)
	flipped := bytes.Replace(good, []byte(`"device_seed": "`), []byte(`"device_seed": "A`), 1)
	for name, c := range map[string]struct {
		raw  []byte
		is   error
		says string
	}{
		"empty":            {nil, ErrDamaged, "recovery phrase"},
		"half-written":     {good[:len(good)/2], ErrDamaged, "left untouched"},
		"zeros":            {make([]byte, 400), ErrDamaged, "left untouched"},
		"not ours":         {[]byte(`{"hello":"world"}`), ErrDamaged, "version 0"},
		"other key":        {flipped, ErrDamaged, "left untouched"},
		"newer":            {[]byte(`{"version":2,"name":{"new":"shape"}}`), ErrNewerVersion, "update peerd"},
		"enormous":         {bytes.Repeat([]byte("x"), maxFileSize+2), ErrDamaged, "larger than"},
		"sealed, garbage":  {[]byte(`{"version":1,"sealed":"aGVsbG8="}`), ErrDamaged, "left untouched"},
		"somebody's certs": {foreignCertificate(t), ErrDamaged, "left untouched"},
	} {
		path := tempFile(t)
		if err := os.WriteFile(path, c.raw, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path, "passphrase")
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want one that says %q", name, err, c.says)
		}
		if !bytes.Equal(must(os.ReadFile(path))(t), c.raw) {
			t.Errorf("%s: the file changed", name)
		}
	}
}

// foreignCertificate is a file whose certificate is another account's.
func foreignCertificate(t *testing.T) []byte {
	body := newIdentity(t, "alice").body()
	body.Certificate = newIdentity(t, "mallory").Certificate().Marshal()
	return must(json.Marshal(body))(t)
}

func TestLoadOfNoOrAnOpenFile(t *testing.T) {
	path := tempFile(t)
	if _, err := Load(path, ""); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "peerd init") {
		t.Errorf("no file: %v", err)
	}
	save(t, newIdentity(t, "alice"), path, "")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, ""); !errors.Is(err, ErrExposed) || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("open to others: %v", err)
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	id := newIdentity(t, "alice")
	raw := must(id.encodeFile(""))(t)
	raw = append([]byte(`{"of a later peerd": [1, 2],`), raw[1:]...)
	same(t, id, must(parseFile(raw, ""))(t))
}

func TestLoadRenewsTheCertificateInItsSecondHalf(t *testing.T) {
	id := newIdentity(t, "alice")
	old := id.Certificate()
	id.renew(old.Issued.Add(CertificateLife/2 - time.Hour))
	if !id.Certificate().Expires.Equal(old.Expires) {
		t.Error("renewed in the first half")
	}
	later := old.Issued.Add(CertificateLife/2 + time.Hour)
	id.renew(later)
	c := id.Certificate()
	if err := c.VerifyFor(id.Device(), later); err != nil || !c.Expires.After(old.Expires) || c.Serial <= old.Serial {
		t.Errorf("renewed to %+v, %v", c, err)
	}
	if devices := id.Devices(); len(devices) != 1 || devices[0].Serial != c.Serial {
		t.Errorf("devices %+v", devices)
	}
}

const crashEnv = "PEERD_TEST_SAVE"

// TestHelperSavesForever is the process that TestSaveSurvivesKill kills.
func TestHelperSavesForever(t *testing.T) {
	path := os.Getenv(crashEnv)
	if path == "" {
		t.Skip("only a helper of TestSaveSurvivesKill")
	}
	id := must(Load(path, ""))(t)
	for {
		if _, err := id.RotateLink(); err != nil {
			t.Fatal(err)
		}
		if err := id.Save(path, ""); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("saved %d\n", id.LinkVersion())
	}
}

func TestSaveSurvivesKill(t *testing.T) {
	path := tempFile(t)
	id := newIdentity(t, "alice")
	save(t, id, path, "")
	for range 10 {
		acknowledged := saveUntilKilled(t, path, 1+rand.IntN(30))
		loaded := must(Load(path, ""))(t)
		if got := loaded.LinkVersion(); got < acknowledged || got > acknowledged+1 {
			t.Fatalf("link version %d on disk, %d acknowledged", got, acknowledged)
		}
		if loaded.Account() != id.Account() || loaded.Device() != id.Device() {
			t.Fatal("another identity")
		}
	}
}

// saveUntilKilled runs the helper, kills it after n saves and returns the last
// link version it said was saved.
func saveUntilKilled(t *testing.T, path string, n int) (last uint32) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelperSavesForever$")
	cmd.Env = append(os.Environ(), crashEnv+"="+path)
	out := must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for seen := 0; lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "saved %d", &last); err != nil {
			continue
		}
		if seen++; seen == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || last == 0 {
		t.Fatalf("helper ended by itself (%v) after %d", err, last)
	}
	return last
}

func FuzzLoadIdentity(f *testing.F) {
	id := newIdentity(f, "alice")
	good, err := id.encodeFile("")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{good, good[:len(good)/2], nil, []byte(`{"version":2}`), []byte(`{"version":1,"sealed":"YQ=="}`), []byte("null")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		id, err := parseFile(raw, "")
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewerVersion) && !errors.Is(err, ErrSealed) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		again, err := id.encodeFile("")
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseFile(again, "")
		if err != nil || back.Device() != id.Device() || back.Account() != id.Account() {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
	})
}
