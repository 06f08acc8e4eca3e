package storm

import "time"

const (
	pacedPrefixes = 64
	// fairShare log-ins within paceFor are what one network may take before others
	// go first. One office of 64 telephones stays below it at any one server, as long
	// as they do not all ask the same one.
	fairShare = 16
	paceFor   = 10 * time.Second
)

// paces counts what was let in lately, by network prefix. Prefixes that fall into
// the same place share it.
type paces [pacedPrefixes]struct {
	level float32
	at    Moment
}

// heaviness tells how much of its fair share a network has had, 0 to 1.
func (g *Gate[P]) heaviness(now Moment, prefix uint64) float64 {
	if prefix == 0 || g.paces == nil || !g.cfg.Off.Has(PrefixPacing) {
		return 0
	}
	p := &g.paces[prefix%pacedPrefixes]
	fade := 1 - float64(min(now-p.at, paceFor))/float64(paceFor)
	return min(1, float64(p.level)*fade/fairShare)
}

// count adds one that was let in.
func (g *Gate[P]) count(now Moment, prefix uint64) {
	if prefix == 0 || !g.cfg.Off.Has(PrefixPacing) {
		return
	}
	if g.paces == nil {
		g.paces = new(paces)
	}
	p := &g.paces[prefix%pacedPrefixes]
	p.level = p.level*(1-float32(min(now-p.at, paceFor))/float32(paceFor)) + 1
	p.at = now
}
