package config

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const peerA = "/ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3KooWBsyQtXPDhnkoVbGUtRFXzDKe5UgGqL6SMLJzTnZmUEAn"

func testDirs(t *testing.T) Dirs {
	t.Helper()
	dirs, err := resolveDirs("/home/me/p", nil, 1000, "/")
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

func TestDefaults(t *testing.T) {
	dirs := testDirs(t)
	c, err := resolve(dirs, nil, Env{"USER": "alice"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Dirs: dirs,
		Name: "alice",
		Listen: []string{
			"/ip4/0.0.0.0/udp/27470/quic-v1", "/ip4/0.0.0.0/tcp/27470", "/ip6/::/udp/27470/quic-v1", "/ip6/::/tcp/27470",
		},
		Bootstrap: []string{},
		Role:      RoleAuto,
		MDNS:      true,
		Audio:     Audio{Kind: AudioPortAudio},
		Answer:    AnswerAsk,
		MaxCalls:  64,
		LogLevel:  slog.LevelInfo,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestFlagOverEnvironmentOverFile(t *testing.T) {
	file := []byte("# mine\nversion = 1\n\nrole=client\nanswer = auto\nmax-calls = 3\nbootstrap = " + peerA + "\nlisten = /ip4/127.0.0.1/tcp/1\nlisten = /ip4/127.0.0.1/tcp/2\n")
	env := Env{"PEERD_ROLE": "server", "PEERD_ANSWER": "ask", "PEERD_LISTEN": "/ip4/127.0.0.1/tcp/3, /ip4/127.0.0.1/tcp/4", "PEERD_PASSPHRASE": "secret"}
	flags := Flags{"role": {"auto"}, "mdns": {"false"}, "audio": {"tone", "file:a.wav,b.wav"}}
	c, err := resolve(testDirs(t), flags, env, file)
	if err != nil {
		t.Fatal(err)
	}
	if c.Role != "auto" || c.Answer != "ask" || c.MaxCalls != 3 || c.MDNS || c.Passphrase != "secret" ||
		!slices.Equal(c.Bootstrap, []string{peerA}) || c.Audio != (Audio{AudioFile, "a.wav", "b.wav"}) {
		t.Errorf("got %+v", c)
	}
	if !slices.Equal(c.Listen, []string{"/ip4/127.0.0.1/tcp/3", "/ip4/127.0.0.1/tcp/4"}) || !c.ListenExplicit {
		t.Errorf("listen %v, explicit %v", c.Listen, c.ListenExplicit)
	}
	fromFile, err := resolve(testDirs(t), nil, nil, file)
	if err != nil || !slices.Equal(fromFile.Listen, []string{"/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2"}) || !fromFile.ListenExplicit {
		t.Errorf("from file: %+v, %v", fromFile.Listen, err)
	}
}

func TestEveryBadSettingIsNamedWithItsSource(t *testing.T) {
	flags := Flags{"role": {"boss"}, "media-port": {"70000"}, "bootstrap": {"/ip4/192.0.2.1/tcp/1"}, "listen": {"0.0.0.0:5060"}}
	env := Env{"PEERD_ANSWER": "never", "PEERD_MDNS": "perhaps", "PEERD_AUDIO": "file:", "PEERD_LOG_LEVEL": "loud"}
	_, err := resolve(testDirs(t), flags, env, []byte("max-calls = 0\nrelay-port = x\n"))
	if !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
	for _, says := range []string{
		"--role: ", `"boss" is none of auto, client, server`, "--media-port: ", "--bootstrap: ", "/p2p/", "--listen: ",
		"PEERD_ANSWER: ", "PEERD_MDNS: ", "PEERD_AUDIO: ", "names no WAV file", "PEERD_LOG_LEVEL: ",
		"/home/me/p/peerd.conf line 1: ", "/home/me/p/peerd.conf line 2: ",
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("does not say %q:\n%v", says, err)
		}
	}
}

func TestPortsMustDiffer(t *testing.T) {
	flags := Flags{"media-port": {"4000"}, "relay-port": {"4000"}}
	if _, err := resolve(testDirs(t), flags, nil, nil); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "both 4000") {
		t.Error(err)
	}
}

func TestFileRefused(t *testing.T) {
	for name, c := range map[string]struct {
		file, says string
		is         error
	}{
		"a newer version": {"version = 2\n", "line 1: version 2", ErrNewerVersion},
		"unknown setting": {"\nrolle = auto\n", `line 2: unknown setting "rolle"`, ErrInvalid},
		"no value":        {"role\n", "line 1: not of the form", ErrInvalid},
		"empty value":     {"role =\n", `line 1: invalid setting: "" is none of`, ErrInvalid},
	} {
		_, err := resolve(testDirs(t), nil, nil, []byte(c.file))
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want one that says %q", name, err, c.says)
		}
	}
}

func TestParseAudio(t *testing.T) {
	for text, want := range map[string]Audio{
		"portaudio":              {AudioPortAudio, "", ""},
		"portaudio:USB mic":      {AudioPortAudio, "USB mic", ""},
		"portaudio:USB mic,HDMI": {AudioPortAudio, "USB mic", "HDMI"},
		"file:in.wav":            {AudioFile, "in.wav", ""},
		"file:in.wav,out.wav":    {AudioFile, "in.wav", "out.wav"},
		"file:,out.wav":          {AudioFile, "", "out.wav"},
		"tone":                   {AudioTone, "", ""},
		"null":                   {AudioNull, "", ""},
	} {
		if got, err := ParseAudio(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "alsa", "file", "file:", "file:,", "tone:440", "null:x"} {
		if got, err := ParseAudio(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestAddresses(t *testing.T) {
	const id = "/p2p/12D3KooWBsyQtXPDhnkoVbGUtRFXzDKe5UgGqL6SMLJzTnZmUEAn"
	for _, c := range []struct {
		check      func([]string) error
		addr, says string // says is empty for a good one
	}{
		{checkListen, "/ip4/0.0.0.0/udp/0/quic-v1", ""},
		{checkListen, "/ip6/::/tcp/27470", ""},
		{checkListen, "0.0.0.0:5060", "begins with /"},
		{checkListen, "", "begins with /"},
		{checkListen, "/ip4", "write for instance"},
		{checkListen, "/ip4/::1/tcp/1", `"::1" is no ip4 address`},
		{checkListen, "/ip6/127.0.0.1/tcp/1", "no ip6 address"},
		{checkListen, "/ip5/127.0.0.1/tcp/1", "neither ip4 nor ip6"},
		{checkListen, "/ip4/0.0.0.0/tcp/65536", "no number from 0 to 65535"},
		{checkListen, "/ip4/0.0.0.0/udp/1", "neither /udp/PORT/quic-v1 nor /tcp/PORT"},
		{checkListen, "/ip4/0.0.0.0/tcp/1" + id, "neither /udp/PORT/quic-v1 nor /tcp/PORT"},
		{checkBootstrap, "/ip4/192.0.2.1/udp/1/quic-v1" + id, ""},
		{checkBootstrap, "/dns4/peerd.example/tcp/1" + id, ""},
		{checkBootstrap, "/ip4/192.0.2.1/udp/1/quic-v1", "id are missing"},
		{checkBootstrap, "/ip4/192.0.2.1/p2p/x", "neither /udp/PORT/quic-v1"},
		{checkBootstrap, "/ip4/192.0.2/tcp/1" + id, "no ip4 address"},
		{checkBootstrap, "/dns4//tcp/1" + id, "name is empty"},
	} {
		_, err := eachAddr([]string{c.addr}, c.check)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want %q", c.addr, err, c.says)
		}
	}
}

func TestDirs(t *testing.T) {
	run := "/run/user/1000"
	for name, c := range map[string]struct {
		home string
		env  Env
		want [4]string // config, state, runtime, socket
	}{
		"home flag":     {"/p", Env{"PEERD_HOME": "/q", "HOME": "/h"}, [4]string{"/p", "/p", "/p", "/p/peerd.sock"}},
		"relative home": {"p/../q", nil, [4]string{"/cwd/q", "/cwd/q", "/cwd/q", "/cwd/q/peerd.sock"}},
		"home variable": {"", Env{"PEERD_HOME": "/q", "HOME": "/h"}, [4]string{"/q", "/q", "/q", "/q/peerd.sock"}},
		"plain user": {
			"",
			Env{"HOME": "/h", "XDG_RUNTIME_DIR": run},
			[4]string{"/h/.config/peerd", "/h/.local/state/peerd", run + "/peerd", run + "/peerd/peerd.sock"},
		},
		"no runtime dir": {
			"",
			Env{"HOME": "/h", "XDG_RUNTIME_DIR": "relative"},
			[4]string{"/h/.config/peerd", "/h/.local/state/peerd", "/h/.local/state/peerd/run", "/h/.local/state/peerd/run/peerd.sock"},
		},
		"xdg": {
			"",
			Env{"XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"},
			[4]string{"/c/peerd", "/s/peerd", "/s/peerd/run", "/s/peerd/run/peerd.sock"},
		},
	} {
		d, err := resolveDirs(c.home, c.env, 1000, "/cwd")
		if got := [4]string{d.ConfigDir, d.StateDir, d.RuntimeDir, d.Socket}; err != nil || got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := resolveDirs("", Env{}, 1000, "/cwd"); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "--home") {
		t.Errorf("nothing known: %v", err)
	}
}

func TestLongHomeGetsAShortSocket(t *testing.T) {
	long := "/" + strings.Repeat("long/", 30)
	a, errA := resolveDirs(long+"a", nil, 1000, "/")
	again, errB := resolveDirs(long+"a/", nil, 1000, "/")
	b, errC := resolveDirs(long+"b", nil, 1000, "/")
	if err := errors.Join(errA, errB, errC); err != nil {
		t.Fatal(err)
	}
	if len(a.Socket) > maxSocketPath || !strings.HasPrefix(a.Socket, "/tmp/peerd-1000-") || a.StateDir != long+"a" {
		t.Errorf("socket %s, state %s", a.Socket, a.StateDir)
	}
	if a.Socket != again.Socket || a.Socket == b.Socket {
		t.Errorf("sockets %s, %s, %s", a.Socket, again.Socket, b.Socket)
	}
}

func TestMakeAndFiles(t *testing.T) {
	dirs, err := resolveDirs(filepath.Join(t.TempDir(), "new", "home"), nil, os.Getuid(), "/")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := dirs.Make(); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range dirs.Files() {
		info, err := os.Stat(filepath.Dir(f.Path))
		if err != nil || info.Mode().Perm() != 0o700 || f.What == "" {
			t.Errorf("%s: %v, %v", f.Path, info, err)
		}
	}
}

func TestMakeRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dirs, err := resolveDirs(file, nil, os.Getuid(), "/")
	if err != nil {
		t.Fatal(err)
	}
	if err := dirs.Make(); err == nil || !strings.Contains(err.Error(), "--home") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a file in the place of the home: %v", err)
	}
}

// Somebody else may sit in our short directory in /tmp before us.
func TestMakeRefusesAnUnsafeSocketDirectory(t *testing.T) {
	dirs, err := resolveDirs(filepath.Join(t.TempDir(), strings.Repeat("x", 110)), nil, os.Getuid(), "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dirs.RuntimeDir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(dirs.RuntimeDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dirs.RuntimeDir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := dirs.Make(); !errors.Is(err, ErrUnsafeDir) {
		t.Errorf("open to all: %v", err)
	}
	if err := os.Remove(dirs.RuntimeDir); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), dirs.RuntimeDir); err != nil {
		t.Fatal(err)
	}
	if err := dirs.Make(); !errors.Is(err, ErrUnsafeDir) {
		t.Errorf("a link: %v", err)
	}
}

func TestLoad(t *testing.T) {
	home := t.TempDir()
	flags := Flags{"home": {home}, "role": {"server"}}
	if c, err := Load(flags, nil); err != nil || c.Home != home || c.Role != RoleServer {
		t.Errorf("no file: %+v, %v", c, err)
	}
	conf := filepath.Join(home, "peerd.conf")
	if err := os.WriteFile(conf, []byte("role = client\nname = Alice Example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(flags, ReadEnv([]string{"PEERD_MEDIA_PORT=4000", "USER=x"})); err != nil ||
		c.Role != RoleServer || c.Name != "Alice Example" || c.MediaPort != 4000 {
		t.Errorf("with file: %+v, %v", c, err)
	}
	if err := os.WriteFile(conf, make([]byte, maxFileSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(flags, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("enormous file: %v", err)
	}
}

func TestSettingsTable(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range Settings() {
		if s.Help == "" || seen[s.Flag] || !strings.HasPrefix(s.Variable(), "PEERD_") || strings.Contains(s.Variable(), "-") {
			t.Errorf("setting %+v, variable %s", s, s.Variable())
		}
		seen[s.Flag] = true
	}
}
