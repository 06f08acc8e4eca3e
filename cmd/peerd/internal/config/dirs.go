package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
)

// maxSocketPath is the longest path of a unix socket that every system takes:
// sun_path has 104 bytes on BSD and macOS, 108 on Linux, with a zero at its end.
const maxSocketPath = 103

// Dirs are the directories of one daemon, absolute paths. With a home all three
// are the home; otherwise they follow the XDG Base Directory Specification.
type Dirs struct {
	Home       string // --home, PEERD_HOME; empty when XDG decides
	ConfigDir  string // the configuration file
	StateDir   string // identity, database, the overlay's memory, lock
	RuntimeDir string // the socket
	Socket     string // of the local API
}

// File is a line of the table of files.
type File struct {
	Path string
	What string
}

// resolveDirs is pure: home is the flag's value or empty, cwd makes a relative
// home absolute.
func resolveDirs(home string, env Env, uid int, cwd string) (Dirs, error) {
	if home == "" {
		home = env["PEERD_HOME"]
	}
	if home != "" {
		if !filepath.IsAbs(home) {
			home = filepath.Join(cwd, home)
		}
		home = filepath.Clean(home)
		d := Dirs{Home: home, ConfigDir: home, StateDir: home, RuntimeDir: home}
		d.placeSocket(uid)
		return d, nil
	}
	config, okConfig := xdg(env, "XDG_CONFIG_HOME", ".config")
	state, okState := xdg(env, "XDG_STATE_HOME", ".local/state")
	if !okConfig || !okState {
		return Dirs{}, fmt.Errorf("no home directory is known; use --home or set PEERD_HOME: %w", ErrInvalid)
	}
	d := Dirs{ConfigDir: config, StateDir: state, RuntimeDir: filepath.Join(state, "run")}
	if run := env["XDG_RUNTIME_DIR"]; filepath.IsAbs(run) {
		d.RuntimeDir = filepath.Join(run, "peerd")
	}
	d.placeSocket(uid)
	return d, nil
}

// xdg returns peerd's directory under the variable's, or under the default
// below the user's home. Relative values are ignored, as the specification says.
func xdg(env Env, variable, under string) (string, bool) {
	if dir := env[variable]; filepath.IsAbs(dir) {
		return filepath.Join(dir, "peerd"), true
	}
	if home := env["HOME"]; filepath.IsAbs(home) {
		return filepath.Join(home, under, "peerd"), true
	}
	return "", false
}

// placeSocket sets Socket. Where its path would be too long for a socket,
// RuntimeDir becomes a short directory of this user's in /tmp, always the same
// for the same long one.
func (d *Dirs) placeSocket(uid int) {
	const name = "peerd.sock"
	d.Socket = filepath.Join(d.RuntimeDir, name)
	if len(d.Socket) > maxSocketPath {
		sum := sha256.Sum256([]byte(d.RuntimeDir))
		d.RuntimeDir = fmt.Sprintf("/tmp/peerd-%d-%s", uid, hex.EncodeToString(sum[:8]))
		d.Socket = filepath.Join(d.RuntimeDir, name)
	}
}

// ConfigFile is the optional configuration file.
func (d Dirs) ConfigFile() string { return filepath.Join(d.ConfigDir, "peerd.conf") }

// IdentityFile holds the keys.
func (d Dirs) IdentityFile() string { return filepath.Join(d.StateDir, "identity.json") }

// StoreFile is the database of contacts and calls.
func (d Dirs) StoreFile() string { return filepath.Join(d.StateDir, "peerd.db") }

// NodeDir is the overlay's own memory: records, known peers, routing table.
func (d Dirs) NodeDir() string { return filepath.Join(d.StateDir, "node") }

// LockFile keeps a second daemon away, and says where the first one listens.
func (d Dirs) LockFile() string { return filepath.Join(d.StateDir, "peerd.lock") }

// Files returns the table of every file the daemon touches by itself.
func (d Dirs) Files() []File {
	return []File{
		{d.ConfigFile(), "settings, optional, only read"},
		{d.IdentityFile(), "keys of account and device, contact link; back it up"},
		{d.StoreFile(), "contacts and call history; back it up"},
		{d.NodeDir(), "the overlay's records and known peers; may be lost"},
		{d.LockFile(), "lock of the running daemon, its process id and socket"},
		{d.Socket, "local API, while the daemon runs"},
	}
}

// Make creates the directories, private to this user, and checks that they are
// ours to write in.
func (d Dirs) Make() error {
	for _, dir := range []string{d.ConfigDir, d.StateDir, d.NodeDir(), d.RuntimeDir} {
		if err := makePrivate(dir); err != nil {
			return err // the others are often in the same place
		}
	}
	return nil
}
