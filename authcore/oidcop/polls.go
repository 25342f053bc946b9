package oidcop

import (
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

// polls remembers when each device last asked, on this node.
type polls struct {
	now    func() time.Time
	shards [pollShards]pollShard
}

type pollShard struct {
	mu    sync.Mutex
	all   map[authcore.TokenHash]poll
	swept time.Time
}

// poll is when a device asked, and how long it has to wait from then on.
type poll struct {
	at    time.Time
	every time.Duration
}

func newPolls(now func() time.Time) *polls {
	p := &polls{now: now}
	for i := range p.shards {
		p.shards[i].all = make(map[authcore.TokenHash]poll)
	}
	return p
}

// early notes that a device asks. One that does not wait has to wait five seconds longer from
// then on (RFC 8628 section 3.5, slow_down).
func (p *polls) early(device authcore.TokenHash) bool {
	now, s := p.now(), &p.shards[device[0]%pollShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.all[device]
	if !known {
		s.makeRoom(now)
		last = poll{every: pollEvery}
	}
	early := known && now.Sub(last.at) < last.every-pollEarly
	if early {
		last.every += pollEvery
	}
	last.at = now
	s.all[device] = last
	return early
}

// forget forgets a device that asks no more.
func (p *polls) forget(device authcore.TokenHash) {
	s := &p.shards[device[0]%pollShards]
	s.mu.Lock()
	delete(s.all, device)
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
		for d, last := range s.all {
			if now.Sub(last.at) > deviceLife {
				delete(s.all, d)
			}
		}
	}
	for d := range s.all {
		if len(s.all) < maxPolls {
			return
		}
		delete(s.all, d)
	}
}
