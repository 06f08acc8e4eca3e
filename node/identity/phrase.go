package identity

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"math/big"
	"strings"
	"sync"
)

// wordlist.txt is the English list of BIP-39, from
// github.com/bitcoin/bips/blob/master/bip-0039/english.txt (CRC-32 c1dbd296).
//
//go:embed wordlist.txt
var wordlist string

const (
	bitsPerWord  = 11
	phraseWords  = 24 // of an account phrase
	maxPhraseLen = 1024
)

// wordIndex splits the list once, on first use.
var wordIndex = sync.OnceValues(func() ([]string, map[string]int) {
	words := strings.Fields(wordlist)
	index := make(map[string]int, len(words))
	for i, w := range words {
		index[w] = i
	}
	return words, index
})

// Words returns a copy of the 2,048 English words of BIP-39, in order.
func Words() []string {
	words, _ := wordIndex()
	return append([]string(nil), words...)
}

// EncodePhrase turns 16, 20, 24, 28 or 32 bytes of entropy into 12 to 24 words
// (BIP-39, "Generating the mnemonic"): the entropy and the first bits of its
// SHA-256, cut into groups of eleven bits.
func EncodePhrase(entropy []byte) (string, error) {
	if n := len(entropy); n < 16 || n > 32 || n%4 != 0 {
		return "", fmt.Errorf("entropy of %d bytes: %w", n, ErrBadPhrase)
	}
	list, _ := wordIndex()
	sum := sha256.Sum256(entropy)
	bits := new(big.Int).SetBytes(append(entropy[:len(entropy):len(entropy)], sum[0]))
	bits.Rsh(bits, uint(8-len(entropy)/4))
	words := make([]string, len(entropy)*3/4)
	mask, group := big.NewInt(1<<bitsPerWord-1), new(big.Int)
	for i := len(words) - 1; i >= 0; i-- {
		words[i] = list[group.And(bits, mask).Int64()]
		bits.Rsh(bits, bitsPerWord)
	}
	return strings.Join(words, " "), nil
}

// DecodePhrase returns the entropy of a phrase, whatever its case and spacing.
// Errors wrap ErrBadPhrase and name the first wrong word by its position.
func DecodePhrase(phrase string) ([]byte, error) {
	words, err := splitPhrase(phrase)
	if err != nil {
		return nil, err
	}
	_, index := wordIndex()
	bits := new(big.Int)
	for i, w := range words {
		n, known := index[w]
		if !known {
			return nil, fmt.Errorf("word %d is not in the list of words: %w", i+1, ErrBadPhrase)
		}
		bits.Lsh(bits, bitsPerWord).Or(bits, big.NewInt(int64(n)))
	}
	check := uint(len(words) / 3)
	want := new(big.Int).And(bits, big.NewInt(1<<check-1)).Uint64()
	entropy := bits.Rsh(bits, check).FillBytes(make([]byte, len(words)/3*4))
	sum := sha256.Sum256(entropy)
	if uint64(sum[0]>>(8-check)) != want {
		return nil, fmt.Errorf("the checksum does not fit: a word is wrong or two are swapped: %w", ErrBadPhrase)
	}
	return entropy, nil
}

// splitPhrase returns the phrase's words in lower case, 12 to 24 in steps of 3.
func splitPhrase(phrase string) ([]string, error) {
	if len(phrase) > maxPhraseLen {
		return nil, fmt.Errorf("longer than %d characters: %w", maxPhraseLen, ErrBadPhrase)
	}
	words := strings.Fields(strings.ToLower(phrase))
	if n := len(words); n < 12 || n > 24 || n%3 != 0 {
		return nil, fmt.Errorf("%d words, %d are needed: %w", n, phraseWords, ErrBadPhrase)
	}
	return words, nil
}
