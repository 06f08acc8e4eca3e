package media

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/sdp/v3"
)

// Bounds on what a stranger may send us.
const (
	maxSDP           = 64 << 10 // bytes
	maxSDPAttributes = 512
	maxCandidates    = 64 // of one session, in the description and after it
	maxCandidateLen  = 2 << 10
)

// description is what we need to know about a session description before pion
// sees it.
type description struct {
	fingerprint string // of DTLS, SHA-256, upper-case hex with colons
	candidates  int
	direct      ice.Candidate // one that is no relay's, nil: none
}

// readSDP checks that a description (RFC 8866) is that of one Opus call over
// DTLS and ICE. Its errors wrap ErrBadSDP.
func readSDP(b []byte) (description, error) {
	d, err := parseSDP(b)
	if err != nil {
		return description{}, fmt.Errorf("%w: %w", ErrBadSDP, err)
	}
	return d, nil
}

// FingerprintOf returns the DTLS fingerprint in a description (RFC 8122: SHA-256
// in upper-case hex with colons), before a session is to act on it. Its errors
// wrap ErrBadSDP.
func FingerprintOf(b []byte) (string, error) {
	d, err := readSDP(b)
	return d.fingerprint, err
}

func parseSDP(b []byte) (d description, err error) {
	if len(b) > maxSDP {
		return d, fmt.Errorf("%d bytes, at most %d are read", len(b), maxSDP)
	}
	var sd sdp.SessionDescription
	if err = sd.Unmarshal(b); err != nil {
		return d, err
	}
	if len(sd.MediaDescriptions) != 1 || sd.MediaDescriptions[0].MediaName.Media != "audio" {
		return d, fmt.Errorf("%d media sections, wanted one of audio", len(sd.MediaDescriptions))
	}
	attributes := append(sd.Attributes, sd.MediaDescriptions[0].Attributes...)
	if len(attributes) > maxSDPAttributes {
		return d, fmt.Errorf("%d attributes, at most %d are read", len(attributes), maxSDPAttributes)
	}
	var ufrag, pwd, opus bool
	for _, a := range attributes {
		switch a.Key {
		case "fingerprint":
			err = d.addFingerprint(a.Value)
		case "candidate":
			err = d.addCandidate(a.Value)
		case "ice-ufrag":
			ufrag = a.Value != ""
		case "ice-pwd":
			pwd = a.Value != ""
		case "rtpmap":
			opus = opus || strings.Contains(strings.ToLower(a.Value), " opus/48000")
		}
		if err != nil {
			return d, err
		}
	}
	switch {
	case d.fingerprint == "":
		return d, fmt.Errorf("no DTLS fingerprint")
	case !ufrag || !pwd:
		return d, fmt.Errorf("no ICE credentials")
	case !opus:
		return d, fmt.Errorf("no Opus")
	case d.candidates > maxCandidates:
		return d, fmt.Errorf("%d candidates, at most %d are read", d.candidates, maxCandidates)
	}
	return d, nil
}

// addFingerprint takes "sha-256 AB:CD:..." (RFC 8122 section 5). Two different
// ones are refused: only one certificate can be bound to the device key.
func (d *description) addFingerprint(value string) error {
	algorithm, hexes, _ := strings.Cut(value, " ")
	if !strings.EqualFold(algorithm, "sha-256") {
		return fmt.Errorf("fingerprint by %q, wanted sha-256", algorithm)
	}
	hexes = strings.ToUpper(strings.TrimSpace(hexes))
	raw, err := hex.DecodeString(strings.ReplaceAll(hexes, ":", ""))
	if err != nil || len(raw) != sha256.Size {
		return fmt.Errorf("malformed DTLS fingerprint")
	}
	if hexes = formatFingerprint(raw); d.fingerprint != "" && d.fingerprint != hexes {
		return fmt.Errorf("two DTLS fingerprints")
	}
	d.fingerprint = hexes
	return nil
}

func (d *description) addCandidate(line string) error {
	c, err := parseCandidate(line)
	if err != nil {
		return err
	}
	d.candidates++
	if c.Type() != ice.CandidateTypeRelay && c.NetworkType().IsUDP() {
		d.direct = c
	}
	return nil
}

func formatFingerprint(sum []byte) string {
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// parseCandidate reads a candidate line (RFC 8839 section 5.1). Names instead
// of addresses are refused: nobody makes us ask the DNS.
func parseCandidate(line string) (ice.Candidate, error) {
	if len(line) > maxCandidateLen {
		return nil, fmt.Errorf("candidate of %d bytes, at most %d are read", len(line), maxCandidateLen)
	}
	c, err := ice.UnmarshalCandidate(strings.TrimPrefix(line, "candidate:"))
	if err != nil {
		return nil, err
	}
	if _, err := netipAddr(c.Address()); err != nil {
		return nil, err
	}
	return c, nil
}
