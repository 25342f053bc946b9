package oidcop

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const (
	// pollEvery is how long a device waits between two questions (RFC 8628 section 3.2).
	pollEvery = 5 * time.Second
	// pollEarly is how much too early a question may come: networks are not even.
	pollEarly = 500 * time.Millisecond
	// maxPolls bounds the devices of one shard that are remembered.
	maxPolls   = 8192
	pollShards = 32
)

// polls remembers the devices that ask on this node: when each last did, and that it waits,
// until this node hears that a user has answered.
type polls struct {
	now    func() time.Time
	shards [pollShards]pollShard
}

type pollShard struct {
	mu      sync.Mutex
	all     map[authcore.DeviceKey]poll
	answers uint64 // how many were heard of
	swept   time.Time
}

// poll is a device that the database knew.
type poll struct {
	at      time.Time     // of the last question
	every   time.Duration // to wait from then on
	service authcore.ServiceID
	expires time.Time
	waiting bool // nobody has answered, as far as this node has heard
}

// asked is a question of a device, with what is known of it without the database.
type asked struct {
	poll
	now     time.Time // of the question
	known   bool
	early   bool // it did not wait
	answers uint64
}

func newPolls(now func() time.Time) *polls {
	p := &polls{now: now}
	for i := range p.shards {
		p.shards[i].all = make(map[authcore.DeviceKey]poll)
	}
	return p
}

func (p *polls) shard(key authcore.DeviceKey) *pollShard { return &p.shards[key[0]%pollShards] }

// ask notes that a device asks, where it is known. One that does not wait has to wait five
// seconds longer from then on (RFC 8628 section 3.5, slow_down).
func (p *polls) ask(key authcore.DeviceKey) asked {
	now, s := p.now(), p.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.all[key]
	q := asked{poll: last, now: now, known: known, answers: s.answers}
	if known {
		q.early = last.note(now)
		s.all[key] = last
	}
	return q
}

// note notes a question, and tells whether it comes too early.
func (l *poll) note(now time.Time) (early bool) {
	if early = now.Sub(l.at) < l.every-pollEarly; early {
		l.every += pollEvery
	}
	l.at = now
	return early
}

// found notes what the database says of a device that asked, and tells whether another
// question of it came too shortly before. It is believed to wait where nobody's answer was
// heard of since the question.
func (p *polls) found(q asked, d *authcore.DeviceGrant) (early bool) {
	key := authcore.DeviceKeyOf(d.Device)
	s := p.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.all[key]
	switch {
	case !known:
		s.makeRoom(q.now)
		last = poll{at: q.now, every: pollEvery, service: d.Service, expires: d.ExpiresAt}
	case !q.known:
		early = last.note(q.now)
	}
	last.waiting = d.Status == authcore.DeviceWaiting && s.answers == q.answers
	s.all[key] = last
	return early
}

// answered makes the next question of a device go to the database, because a user has
// answered; with the zero key, those of all devices.
func (p *polls) answered(key authcore.DeviceKey) {
	if key != (authcore.DeviceKey{}) {
		p.shard(key).answered(key)
		return
	}
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		all := slices.Collect(maps.Keys(s.all))
		s.mu.Unlock()
		s.answered(all...)
	}
}

func (s *pollShard) answered(keys ...authcore.DeviceKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers++
	for _, key := range keys {
		if last, known := s.all[key]; known {
			last.waiting = false
			s.all[key] = last
		}
	}
}

// forget forgets a device that asks no more.
func (p *polls) forget(key authcore.DeviceKey) {
	s := p.shard(key)
	s.mu.Lock()
	delete(s.all, key)
	s.mu.Unlock()
}

// makeRoom forgets devices whose code has expired, at most once in a second, and where that is
// not enough any one.
func (s *pollShard) makeRoom(now time.Time) {
	if len(s.all) < maxPolls {
		return
	}
	if now.Sub(s.swept) > time.Second {
		s.swept = now
		for key, last := range s.all {
			if !now.Before(last.expires) {
				delete(s.all, key)
			}
		}
	}
	for key := range s.all {
		if len(s.all) < maxPolls {
			return
		}
		delete(s.all, key)
	}
}
