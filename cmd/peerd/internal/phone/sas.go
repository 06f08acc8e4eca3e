package phone

import "github.com/peerd/peerd/signaling"

// sasWords gives the words for a short authentication string. Both people read
// them to each other; they differ if somebody stands between.
func (p *Phone) sasWords(sas signaling.SAS) []string {
	words := make([]string, len(sas))
	for i, n := range sas {
		words[i] = p.words[n]
	}
	return words
}
