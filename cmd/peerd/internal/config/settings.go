package config

import (
	"fmt"
	"strconv"
	"strings"
)

// DefaultPort is the overlay's UDP and TCP port unless another is asked for or
// it is taken.
const DefaultPort = 27470

// Setting describes one setting, for help, documents and command-line flags.
type Setting struct {
	Flag    string // without dashes; also the key in the file
	Default string // as it would be written
	List    bool   // may be given several times; in the variable separated by commas or spaces
	Help    string

	set func(c *Config, values []string) error
}

// Variable returns the environment variable of the setting.
func (s Setting) Variable() string {
	return "PEERD_" + strings.ToUpper(strings.ReplaceAll(s.Flag, "-", "_"))
}

// Settings returns the table of settings, in the order of the help. --home and
// PEERD_PASSPHRASE are not in it: the one says where the file is, the other has
// no place on a command line or in a file.
func Settings() []Setting {
	return []Setting{
		{"name", "", false, "own name in a new identity, shown to contacts", func(c *Config, v []string) error {
			c.Name = strings.TrimSpace(v[0])
			return nil
		}},
		{"listen", strings.Join(defaultListen(DefaultPort), " "), true, "multiaddr of the overlay to listen on", func(c *Config, v []string) (err error) {
			c.Listen, err = eachAddr(v, checkListen)
			return err
		}},
		{"media-port", "0", false, "UDP port of all calls' sound, 0 = any", func(c *Config, v []string) (err error) {
			c.MediaPort, err = number(v[0], 0, 65535)
			return err
		}},
		{"relay-port", "0", false, "UDP and TCP port of a server's STUN and TURN, 0 = any", func(c *Config, v []string) (err error) {
			c.RelayPort, err = number(v[0], 0, 65535)
			return err
		}},
		{"bootstrap", "", true, "address of a node to join by, whole, as peerd status prints it there", func(c *Config, v []string) (err error) {
			c.Bootstrap, err = eachAddr(v, checkBootstrap)
			return err
		}},
		{"role", RoleAuto, false, "server (stores and relays for others), client, or auto (a client that becomes a server where others can reach it)", func(c *Config, v []string) (err error) {
			c.Role, err = oneOf(v[0], RoleAuto, RoleClient, RoleServer)
			return err
		}},
		{"mdns", "true", false, "find nodes on the local network and be found there", func(c *Config, v []string) (err error) {
			c.MDNS, err = boolean(v[0])
			return err
		}},
		{"audio", AudioPortAudio, false, "portaudio[:IN,OUT] (sound card), file:IN.wav[,OUT.wav] (speaks one file, records another), tone or null (silence)", func(c *Config, v []string) (err error) {
			c.Audio, err = ParseAudio(v[0])
			return err
		}},
		{"answer", AnswerAsk, false, "incoming calls: ask, auto (answer contacts and whoever was given your link, ring for others) or echo (send everybody's sound back)", func(c *Config, v []string) (err error) {
			c.Answer, err = oneOf(v[0], AnswerAsk, AnswerAuto, AnswerEcho)
			return err
		}},
		{"max-calls", "64", false, "most calls at one time", func(c *Config, v []string) (err error) {
			c.MaxCalls, err = number(v[0], 1, 1000)
			return err
		}},
		{"log-level", "info", false, "debug, info, warn or error", func(c *Config, v []string) error {
			if _, err := oneOf(v[0], "debug", "info", "warn", "error"); err != nil {
				return err
			}
			return c.LogLevel.UnmarshalText([]byte(v[0]))
		}},
		{"storm-trace", "", false, "file for a trace of the storm policy: what it is told and what it decides, for peerd storm --replay", func(c *Config, v []string) error {
			c.StormTrace = v[0]
			return nil
		}},
	}
}

// defaultListen is QUIC and TCP on every address of both families.
func defaultListen(port int) []string {
	var addrs []string
	for _, host := range []string{"/ip4/0.0.0.0", "/ip6/::"} {
		addrs = append(addrs, fmt.Sprintf("%s/udp/%d/quic-v1", host, port), fmt.Sprintf("%s/tcp/%d", host, port))
	}
	return addrs
}

// AnyPort returns the addresses to listen on when the default port is taken.
func AnyPort() []string { return defaultListen(0) }

// ParseAudio reads portaudio[:IN,OUT], file:IN.wav[,OUT.wav], tone or null.
func ParseAudio(text string) (Audio, error) {
	kind, rest, hasRest := strings.Cut(text, ":")
	in, out, _ := strings.Cut(rest, ",")
	a := Audio{Kind: kind, In: strings.TrimSpace(in), Out: strings.TrimSpace(out)}
	switch {
	case kind == AudioFile && a.In == "" && a.Out == "":
		return Audio{}, fmt.Errorf("%q names no WAV file; write file:IN.wav or file:IN.wav,OUT.wav", text)
	case (kind == AudioTone || kind == AudioNull) && hasRest:
		return Audio{}, fmt.Errorf("%q: %s takes no names", text, kind)
	}
	if _, err := oneOf(kind, AudioPortAudio, AudioFile, AudioTone, AudioNull); err != nil {
		return Audio{}, err
	}
	return a, nil
}

func oneOf(value string, allowed ...string) (string, error) {
	for _, a := range allowed {
		if value == a {
			return value, nil
		}
	}
	return "", fmt.Errorf("%q is none of %s", value, strings.Join(allowed, ", "))
}

func number(text string, low, high int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%q is no number from %d to %d", text, low, high)
	}
	return n, nil
}

func boolean(text string) (bool, error) {
	b, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%q is neither true nor false", text)
	}
	return b, nil
}
