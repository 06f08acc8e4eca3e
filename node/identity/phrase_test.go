package identity

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/crc32"
	"os"
	"strings"
	"testing"
)

// vector is one of the official test vectors of BIP-39
// (github.com/trezor/python-mnemonic, vectors.json, "english").
type vector struct{ Entropy, Phrase, Seed string }

func vectors(t *testing.T) []vector {
	t.Helper()
	raw, err := os.ReadFile("testdata/bip39-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v []vector
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if len(v) != 24 {
		t.Fatalf("%d vectors, want 24", len(v))
	}
	return v
}

func TestWordsAreTheOfficialList(t *testing.T) {
	if sum := crc32.ChecksumIEEE([]byte(wordlist)); sum != 0xc1dbd296 {
		t.Errorf("CRC-32 of the list is %08x, want c1dbd296", sum)
	}
	words := Words()
	if len(words) != 2048 || words[0] != "abandon" || words[2047] != "zoo" {
		t.Errorf("%d words, from %s to %s", len(words), words[0], words[len(words)-1])
	}
}

func TestPhraseVectors(t *testing.T) {
	for _, v := range vectors(t) {
		entropy, err := hex.DecodeString(v.Entropy)
		if err != nil {
			t.Fatal(err)
		}
		if phrase, bad := EncodePhrase(entropy); bad != nil || phrase != v.Phrase {
			t.Errorf("encode %s: %q, %v", v.Entropy, phrase, err)
		}
		if back, bad := DecodePhrase(v.Phrase); bad != nil || !bytes.Equal(back, entropy) {
			t.Errorf("decode %q: %x, %v", v.Phrase, back, err)
		}
		seed, err := phraseSeed(v.Phrase, "TREZOR")
		if err != nil || hex.EncodeToString(seed) != v.Seed {
			t.Errorf("seed of %q: %x, %v", v.Phrase, seed, err)
		}
	}
}

func TestDecodePhraseTakesAnyCaseAndSpacing(t *testing.T) {
	v := vectors(t)[20]
	messy := "  " + strings.ToUpper(strings.ReplaceAll(v.Phrase, " ", "\n\t "))
	back, err := DecodePhrase(messy)
	if err != nil || hex.EncodeToString(back) != v.Entropy {
		t.Errorf("%x, %v", back, err)
	}
}

func TestDecodePhraseRefuses(t *testing.T) {
	good := strings.Fields(vectors(t)[20].Phrase)
	swapped := append([]string(nil), good...)
	swapped[0], swapped[5] = swapped[5], swapped[0]
	for name, c := range map[string]struct{ phrase, says string }{
		"empty":        {"", "0 words"},
		"one too few":  {strings.Join(good[:23], " "), "23 words"},
		"unknown word": {strings.Replace(strings.Join(good, " "), good[3], "peerd", 1), "word 4"},
		"swapped":      {strings.Join(swapped, " "), "checksum"},
		"endless":      {strings.Repeat("zoo ", 1000), "longer than"},
	} {
		_, err := DecodePhrase(c.phrase)
		if !errors.Is(err, ErrBadPhrase) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want one that says %q", name, err, c.says)
		}
	}
	if _, err := EncodePhrase(make([]byte, 17)); !errors.Is(err, ErrBadPhrase) {
		t.Errorf("17 bytes of entropy: %v", err)
	}
}

// The derivation is part of the contract with everyone's recovery phrase: a
// change of these values would lock people out.
func TestAccountOfPhraseNeverChanges(t *testing.T) {
	id, err := FromPhrase(vectors(t)[9].Phrase, "alice")
	if err != nil {
		t.Fatal(err)
	}
	// Computed with Python's hashlib and OpenSSL from the text in account.go.
	const account = "e6vsb4vpo7zw24hhyiodzqwqjiivlztabjrmgjyt3pbiq2xbrgga"
	const link = "peerd:aet2wihsv537g3lq47bbypgc2bfbcvpgmafgfqzhcpn4fcdk4geyzldcap6hj5crti3fw6dmvuhvbtba5s3f4"
	if got := id.Account().String(); got != account {
		t.Errorf("account %s", got)
	}
	if got := id.Link().String(); got != link {
		t.Errorf("link %s", got)
	}
}
