package storm

import "time"

// unstored: p has not got the record, whatever was believed. It says whether that is
// news.
func (j *Joiner[P]) unstored(p P) bool {
	j.drop(p, toStore)
	t := j.find(p, toStore, done)
	if t == nil {
		return false
	}
	t.step = free
	j.stored--
	return true
}

// found: the closest servers are known. Those that do not have the record get it.
func (j *Joiner[P]) found(now Moment, peers []P, unit func() float64) {
	peers = peers[:min(len(peers), j.cfg.Copies)]
	j.target = uint8(len(peers))
	if len(peers) == 0 {
		j.againSoon(now, unit)
		return
	}
	for i := range j.tries {
		if t := &j.tries[i]; t.aim == toStore && (t.step == done && j.want || !contains(peers, t.peer)) {
			t.step = free
		}
	}
	j.whole = j.whole && !j.want
	j.want, j.stored = false, 0
	for _, p := range peers {
		if j.find(p, toStore, done) != nil {
			j.stored++
			continue
		}
		if j.find(p, toStore, asking, waiting, booked, doing) != nil {
			continue
		}
		if t := j.room(); t != nil {
			*t = try[P]{peer: p, aim: toStore, step: waiting, due: now}
		}
	}
	j.publish = now + j.again
	if j.cfg.Off.Has(SpreadPeriods) {
		j.publish = now + Spread(j.again, unit())
	}
	j.again = min(2*j.again, againMost)
}

func contains[P comparable](list []P, p P) bool {
	for _, q := range list {
		if q == p {
			return true
		}
	}
	return false
}

func (j *Joiner[P]) storedAt(p P) {
	t := j.find(p, toStore, doing, booked, asking, waiting)
	if t == nil {
		return
	}
	t.step = done
	j.stored++
	j.whole = j.whole || j.stored >= j.target
}

// againSoon has the closest servers be looked for again after a retry's wait, or
// at leisure where the record can be found meanwhile.
func (j *Joiner[P]) againSoon(now Moment, unit func() float64) {
	if j.publish != 0 && j.publish <= now+j.cfg.Retry.Base {
		return
	}
	var wait time.Duration
	j.retry, wait = j.retry.Fail(calendar(now), unit())
	if j.whole && int(j.target)-int(j.stored) <= spare {
		wait += j.leisure(unit)
	}
	if at := now + wait; j.publish == 0 || at < j.publish {
		j.publish = at
	}
}

// grown has the closest servers be looked for soon: where the overlay grows, they
// change, and again and again.
func (j *Joiner[P]) grown(now Moment, unit func() float64) {
	if !j.cfg.Off.Has(Notice) || j.publish <= now+againAfter { // not yet, or soon
		return
	}
	j.again = min(j.again, 2*againAfter)
	j.publish = now + time.Duration(unit()*float64(againAfter))
}

// heldNoMore: who held the record is gone.
func (j *Joiner[P]) heldNoMore(now Moment, unit func() float64) {
	if j.whole && int(j.target)-int(j.stored) > spare { // nobody may be holding it
		j.publish = now + time.Duration(unit()*float64(j.cfg.Stagger))
	} else {
		j.againSoon(now, unit)
	}
}

// tend looks after the record.
func (j *Joiner[P]) tend(now Moment, unit func() float64, out []Action[P]) []Action[P] {
	if j.keptN == 0 {
		return out
	}
	if j.period != 0 && now >= j.period {
		j.want, j.publish, j.period = true, now, now+j.cfg.Republish
		if j.cfg.Off.Has(SpreadPeriods) {
			j.period = now + Spread(j.cfg.Republish, unit())
		}
	}
	if j.publish != 0 && now >= j.publish {
		j.publish = now + 4*j.cfg.Patience // a search that ends in nothing is begun again
		out = append(out, Action[P]{Kind: Find})
	}
	return out
}
