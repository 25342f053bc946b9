package authcore

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"time"
)

// Chain makes the audit log tamper-evident. Every event has a leaf, an
// authentication code of all that it says; events are sealed in batches, and the
// link of a batch covers its leaves, its number and the link before it. All of it
// is HMAC-SHA256 (RFC 2104) under a key derived from the secret key, so that who
// can write to the database alone can change nothing unnoticed.
//
// What is personal enters a leaf as a salted commitment: it can be taken away
// later, with the salt, and the leaf still holds.
//
// A Chain is for one goroutine at a time.
type Chain struct{ mac hash.Hash }

// NewChain makes the chain under a key.
func NewChain(key SecretKey) *Chain {
	return &Chain{mac: hmac.New(sha256.New, key.derive("audit chain"))}
}

// SealedEvent is an event as the log keeps it.
type SealedEvent struct {
	Event
	Batch    int64 // 0: not sealed yet
	Position int   // from 1 on
	// Blinding is the salt of the commitment, 32 hexadecimal digits; of an event
	// that was made anonymous it is the commitment itself, 64 digits.
	Blinding string
	Leaf     string // 64 hexadecimal digits
}

// EventBatch is one link of the chain.
type EventBatch struct {
	Number   int64 // from 1 on, without a gap
	Count    int
	Link     string // 64 hexadecimal digits
	SealedAt time.Time
	Events   []SealedEvent // by position
}

const (
	saltDigits       = 32
	commitmentDigits = 64
)

// Salts makes so many salts.
func Salts(n int) []string {
	raw := make([]byte, n*saltDigits/2)
	rand.Read(raw)
	digits := hex.EncodeToString(raw)
	out := make([]string, n)
	for i := range out {
		out[i] = digits[i*saltDigits : (i+1)*saltDigits]
	}
	return out
}

// Anonymous tells whether the personal part of an event was taken away.
func (e *SealedEvent) Anonymous() bool { return len(e.Blinding) == commitmentDigits }

// Erasure signs that a user was deleted, so that nobody else can say so.
func (c *Chain) Erasure(user UserID) string {
	return c.sum("erased user", func() { put(c.mac, string(user)) })
}

// Anonymise takes away what is personal: address, device, request and details.
// The ids of user and session stay, which lead nowhere once those are deleted.
func (e *SealedEvent) Anonymise() {
	if e.Anonymous() {
		return
	}
	e.Blinding = commitment(&e.Event, e.Blinding)
	e.Details, e.Actor.Client = "", Client{}
}

// commitment hides the personal part of an event behind a salt, or is the one that
// is left of it.
func commitment(e *Event, blinding string) string {
	if len(blinding) == commitmentDigits {
		return blinding
	}
	h := sha256.New()
	put(h, "gatehouse audit commitment", blinding, e.Details, e.Actor.Client.Address, e.Actor.Client.Agent, e.Actor.Client.RequestID)
	return hex.EncodeToString(h.Sum(nil))
}

// put writes texts so that no two lists of them read the same.
func put(h hash.Hash, texts ...string) {
	var buf [512]byte
	for _, t := range texts {
		b := binary.AppendUvarint(buf[:0], uint64(len(t)))
		h.Write(append(b, t...))
	}
}

func putNumber(h hash.Hash, n int64) {
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func (c *Chain) sum(what string, f func()) string {
	c.mac.Reset()
	put(c.mac, what)
	f()
	return hex.EncodeToString(c.mac.Sum(nil))
}

// Leaf is the code of an event.
func (c *Chain) Leaf(e *Event, blinding string) string {
	return c.sum("event", func() {
		put(c.mac, e.ID)
		putNumber(c.mac, e.Time.UnixMicro())
		put(c.mac, string(e.Actor.Kind), string(e.Actor.User), string(e.Actor.Session), string(e.Action), e.Target, string(e.Outcome),
			commitment(e, blinding))
		if e.Organization != "" || e.Actor.Act != "" { // which events had not, once
			put(c.mac, string(e.Organization))
		}
		if e.Actor.Act != "" { // the same
			put(c.mac, string(e.Actor.Act))
		}
	})
}

// Link is the code of a batch with these leaves, sealed at that time behind a batch
// with that link, which is empty for the first.
func (c *Chain) Link(before string, number int64, sealed time.Time, leaves []string) string {
	return c.sum("batch", func() {
		put(c.mac, before)
		putNumber(c.mac, number)
		putNumber(c.mac, sealed.UnixMicro())
		for _, leaf := range leaves {
			put(c.mac, leaf)
		}
	})
}

// Sign is the code of a text of ours that the database keeps, such as where the
// chain begins after old events were deleted.
func (c *Chain) Sign(purpose, text string) string {
	return c.sum("text", func() { put(c.mac, purpose, text) })
}
