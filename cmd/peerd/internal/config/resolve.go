package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

const (
	fileVersion = "1"
	maxFileSize = 64 << 10
)

// Env is the environment: variable to value.
type Env map[string]string

// ReadEnv turns os.Environ's lines into an Env.
func ReadEnv(lines []string) Env {
	env := make(Env, len(lines))
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	return env
}

// Flags are the flags that were given: name without dashes to its values.
// "home" is one of them.
type Flags map[string][]string

// FindDirs tells where this user's daemon has its files; it reads none.
func FindDirs(flags Flags, env Env) (Dirs, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return Dirs{}, fmt.Errorf("find the working directory: %w", err)
	}
	home := ""
	if given := flags["home"]; len(given) > 0 {
		home = given[len(given)-1]
	}
	return resolveDirs(home, env, os.Getuid(), cwd)
}

// Load finds the directories, reads the configuration file if there is one and
// resolves every setting. The error names each bad setting and where it came
// from.
func Load(flags Flags, env Env) (Config, error) {
	dirs, err := FindDirs(flags, env)
	if err != nil {
		return Config{}, err
	}
	file, err := readFile(dirs.ConfigFile())
	if err != nil {
		return Config{}, fmt.Errorf("read settings: %w; check the owner and mode of the file and (0700) of its directory, or choose another --home", err)
	}
	return resolve(dirs, flags, env, file)
}

// readFile returns nil for a file that does not exist.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFileSize {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read: %w", path, info.Size(), maxFileSize, ErrInvalid)
	}
	return os.ReadFile(path)
}

// given is a setting's value and where it came from.
type given struct {
	values []string
	source string
}

// resolve is pure: flag over environment over file over default, then checked
// as a whole.
func resolve(dirs Dirs, flags Flags, env Env, file []byte) (Config, error) {
	fromFile, err := parseFile(dirs.ConfigFile(), file)
	if err != nil {
		return Config{}, err
	}
	c := Config{Dirs: dirs, Passphrase: env["PEERD_PASSPHRASE"]}
	var errs []error
	for _, s := range Settings() {
		g := pick(s, flags, env, fromFile)
		if s.Flag == "listen" {
			c.ListenExplicit = g.source != sourceDefault
		}
		if err := s.set(&c, g.values); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w: %w", g.source, ErrInvalid, err))
		}
	}
	if c.MediaPort != 0 && c.MediaPort == c.RelayPort {
		errs = append(errs, fmt.Errorf("media-port and relay-port are both %d: %w", c.MediaPort, ErrInvalid))
	}
	if c.Name == "" {
		c.Name = userName(env)
	}
	return c, errors.Join(errs...)
}

const sourceDefault = "default"

// pick returns the value that counts for a setting; it has at least one
// element, unless the setting is a list.
func pick(s Setting, flags Flags, env Env, file map[string]given) given {
	if v := flags[s.Flag]; len(v) > 0 {
		return s.shape(given{v, "--" + s.Flag})
	}
	if v, ok := env[s.Variable()]; ok && v != "" {
		return s.shape(given{[]string{v}, s.Variable()})
	}
	if g, ok := file[s.Flag]; ok {
		return s.shape(g)
	}
	return s.shape(given{[]string{s.Default}, sourceDefault})
}

// shape splits the values of a list, and keeps the last one of anything else.
func (s Setting) shape(g given) given {
	if !s.List {
		return given{g.values[len(g.values)-1:], g.source}
	}
	split := func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }
	return given{strings.FieldsFunc(strings.Join(g.values, " "), split), g.source}
}

// userName is the name of a new identity when none was given.
func userName(env Env) string {
	for _, variable := range []string{"USER", "LOGNAME"} {
		if env[variable] != "" {
			return env[variable]
		}
	}
	return "peerd"
}

// parseFile reads lines of "key = value"; keys are the flags' names, lists
// repeat theirs, "#" begins a comment line, "version = 1" may stand first. An
// unknown key is an error: it is most likely mistyped.
func parseFile(path string, raw []byte) (map[string]given, error) {
	known := make(map[string]bool)
	for _, s := range Settings() {
		known[s.Flag] = true
	}
	values := make(map[string]given)
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, maxFileSize+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		where := fmt.Sprintf("%s line %d", path, n)
		key, value, found := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case key == "version" && value == fileVersion:
		case key == "version":
			return nil, fmt.Errorf("%s: version %s, this peerd knows %s: %w; update peerd or choose another --home",
				where, value, fileVersion, ErrNewerVersion)
		case !found:
			return nil, fmt.Errorf("%s: not of the form key = value: %w", where, ErrInvalid)
		case !known[key]:
			return nil, fmt.Errorf("%s: unknown setting %q: %w", where, key, ErrInvalid)
		default:
			values[key] = given{append(values[key].values, value), where}
		}
	}
	return values, lines.Err()
}
