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
type paces struct {
	place [pacedPrefixes]pace
	all   pace
}

type pace struct {
	level float32
	at    Moment
}

// faded is the level at now.
func (p *pace) faded(now Moment) float32 {
	return p.level * (1 - float32(min(now-p.at, paceFor))/float32(paceFor))
}

func (p *pace) add(now Moment) { p.level, p.at = p.faded(now)+1, now }

// heaviness tells how much of its fair share a network has had beyond twice what
// the average network had, 0 to 1.
func (g *Gate[P]) heaviness(now Moment, prefix uint64) float64 {
	if prefix == 0 || g.paces == nil || !g.cfg.Off.Has(PrefixPacing) {
		return 0
	}
	over := g.paces.place[prefix%pacedPrefixes].faded(now) - 2*g.paces.all.faded(now)/pacedPrefixes
	return min(max(0, float64(over)/fairShare), 1)
}

// count adds one that was let in.
func (g *Gate[P]) count(now Moment, prefix uint64) {
	if prefix == 0 || !g.cfg.Off.Has(PrefixPacing) {
		return
	}
	if g.paces == nil {
		g.paces = new(paces)
	}
	g.paces.place[prefix%pacedPrefixes].add(now)
	g.paces.all.add(now)
}
