package authcore

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// SigningKey is a key that the installation signs with, for others to check.
type SigningKey struct {
	Generation int64 // 1 and up, over all algorithms: of the keys of one that may sign, the newest does
	Algorithm  Algorithm
	ID         string    // the "kid": the thumbprint of the public key (RFC 7638)
	Sealed     string    // the private key (PKCS #8) under the secret key
	CreatedAt  time.Time // since then its public part is published
	SignsAt    time.Time // from then on it may sign
}

// KeyStore keeps signing keys.
type KeyStore interface {
	// SigningKeys gives all keys, the oldest generation first.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
	// AddSigningKey adds a key and deletes those of its algorithm of generations before
	// keep. Where there is one of its generation already, nothing happens and added is
	// false.
	AddSigningKey(ctx context.Context, k SigningKey, keep int64, ev Event) (added bool, err error)
}

// The times of signing keys. The overlap is for those who check signatures: longer
// than any of them keeps the public keys.
const (
	keyLife    = 30 * 24 * time.Hour
	keyOverlap = 24 * time.Hour
	// keySoon is before a key signs that was asked for: as long as those who check signatures
	// keep what they have just got from the last node to learn of it.
	keySoon      = 10*time.Minute + 6*keyReload
	keyReload    = 10 * time.Second
	keyLoadLimit = 2 * time.Second
	keyTries     = 3 // where other nodes make keys at the same time
)

// Keys are the signing keys as a node knows them. Each node reads them every ten
// seconds, and adds the next one when it is due.
type Keys struct {
	store  KeyStore
	sealer *Sealer
	now    func() time.Time
	wanted atomic.Bool
	all    atomic.Bool // of every algorithm
	mu     sync.Mutex  // one reads at a time
	known  atomic.Pointer[keySet]
}

// keySet is the keys of each algorithm.
type keySet map[Algorithm]*keyRing

// keyRing is all keys of one algorithm, and what each of them signs with.
type keyRing struct {
	all     []SigningKey
	signers []Signer
}

// Signer signs with one key.
type Signer struct {
	ID     string
	heads  map[string]string // what a JWT begins with, up to the dot, by its "typ"
	sign   func(digest []byte) ([]byte, error)
	public jose.JSONWebKey
}

// The types of what is signed ("typ", RFC 7515 section 4.1.9).
const (
	TypeJWT         = "JWT"
	TypeAccessToken = "at+jwt"     // RFC 9068 section 2.1
	TypeLogoutToken = "logout+jwt" // OpenID Connect Back-Channel Logout 1.0 section 2.4
)

// The private keys that are made: ECDSA on P-256, and RSA with so many bits.
const rsaBits = 2048

// NewKeys makes the keys of an installation with a secret key. Nothing is read or
// made before Want.
func NewKeys(store KeyStore, secret SecretKey, now func() time.Time) *Keys {
	return &Keys{store: store, sealer: secret.NewSealer("signing key", now), now: now}
}

// WantAll is Want, and says that this node signs with every algorithm. The first keys of the
// others take long to make: Run does that soon, so that whoever checks signatures knows them
// before they sign. Where one is asked for earlier, SignerOf does.
func (k *Keys) WantAll(ctx context.Context) error {
	k.all.Store(true)
	return k.Want(ctx)
}

// Want says that this node signs. It reads the keys, and makes the first one.
func (k *Keys) Want(ctx context.Context) error {
	k.wanted.Store(true)
	ctx, cancel := context.WithTimeout(ctx, keyLoadLimit)
	defer cancel()
	return k.load(ctx)
}

// Run keeps the keys up to date until ctx ends. report is told when that fails, and
// with nil when it works again.
func (k *Keys) Run(ctx context.Context, report func(error)) {
	repeat(ctx, keyReload, func(ctx context.Context) error {
		switch {
		case !k.wanted.Load():
			return nil
		case k.all.Load():
			return k.load(ctx, Algorithms...)
		}
		return k.load(ctx)
	}, report)
}

// load reads the keys, and adds those that are due: of ES256, and of what there is one of.
func (k *Keys) load(ctx context.Context, needs ...Algorithm) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, err := k.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	for _, of := range Algorithms {
		if all, err = k.fill(ctx, of, all, of == ES256 || slices.Contains(needs, of)); err != nil {
			return err
		}
	}
	next := make(keySet)
	for _, key := range all {
		ring := next[key.Algorithm]
		if ring == nil {
			ring = new(keyRing)
			next[key.Algorithm] = ring
		}
		signer, err := k.open(key)
		if err != nil {
			return fmt.Errorf("signing key %d cannot be used: %w; make a new one with: caddy gate key rotate --now", key.Generation, err)
		}
		ring.all, ring.signers = append(ring.all, key), append(ring.signers, signer)
	}
	k.known.Store(&next)
	return nil
}

// fill adds the key of an algorithm that is due, where there is one of it or the first is
// needed, and gives all keys. Another node may add one of another algorithm meanwhile.
func (k *Keys) fill(ctx context.Context, of Algorithm, all []SigningKey, needed bool) ([]SigningKey, error) {
	now := k.now()
	for range keyTries {
		some := ofAlgorithm(all, of)
		if len(some) == 0 && !needed || !due(some, now) {
			break
		}
		if _, err := k.add(ctx, Actor{Kind: ActorSystem}, of, all, now.Add(keyOverlap), false); err != nil {
			return nil, err
		}
		var err error
		if all, err = k.store.SigningKeys(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Algorithms are all that tokens are signed with.
var Algorithms = []Algorithm{ES256, RS256}

// ofAlgorithm gives the keys of one algorithm.
func ofAlgorithm(all []SigningKey, of Algorithm) []SigningKey {
	var some []SigningKey
	for _, key := range all {
		if key.Algorithm == of {
			some = append(some, key)
		}
	}
	return some
}

// due tells whether the next key of an algorithm is to be published.
func due(all []SigningKey, now time.Time) bool {
	return len(all) == 0 || !now.Before(all[len(all)-1].SignsAt.Add(keyLife-keyOverlap))
}

// Rotate makes a new key of each algorithm that is in use, and gives that of ES256: one that
// signs in eleven minutes, when those who check signatures have had time to learn of it, or,
// where the others are known to somebody else, one that signs at once while they are
// dropped.
func (k *Keys) Rotate(ctx context.Context, actor Actor, leaked bool) (SigningKey, error) {
	var made SigningKey
	for _, of := range slices.Backward(Algorithms) {
		key, err := k.rotate(ctx, actor, of, leaked)
		if err != nil {
			return SigningKey{}, err
		}
		made = key
	}
	if k.wanted.Load() {
		return made, k.load(ctx)
	}
	return made, nil
}

// rotate is Rotate for one algorithm.
func (k *Keys) rotate(ctx context.Context, actor Actor, of Algorithm, leaked bool) (SigningKey, error) {
	for {
		all, err := k.store.SigningKeys(ctx)
		if err != nil || of != ES256 && len(ofAlgorithm(all, of)) == 0 {
			return SigningKey{}, err
		}
		from := k.now()
		if !leaked {
			from = from.Add(keySoon)
		}
		key, err := k.add(ctx, actor, of, all, from, leaked)
		if errors.Is(err, errOvertaken) {
			continue // another node has made one in between
		}
		return key, err
	}
}

var errOvertaken = errors.New("another node has made a signing key just now")

// add makes the key of an algorithm after all others. The first of one signs at once.
func (k *Keys) add(ctx context.Context, actor Actor, of Algorithm, all []SigningKey, from time.Time, leaked bool) (SigningKey, error) {
	now := k.now()
	key := SigningKey{Generation: 1, Algorithm: of, CreatedAt: now, SignsAt: from}
	if n := len(all); n > 0 {
		key.Generation = all[n-1].Generation + 1
	}
	keep, text := int64(0), ""
	if some := ofAlgorithm(all, of); len(some) > 0 {
		keep = some[published(some, now)].Generation
	} else {
		key.SignsAt = now
	}
	if leaked {
		keep, text = key.Generation, "; the others are dropped"
	}
	private, err := newPrivateKey(of)
	if err != nil {
		return key, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return key, err
	}
	thumb, err := (&jose.JSONWebKey{Key: private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return key, err
	}
	key.ID, key.Sealed = base64.RawURLEncoding.EncodeToString(thumb), k.sealer.Seal(raw)
	added, err := k.store.AddSigningKey(ctx, key, keep, NewEvent(now, actor, KeyCreate, "key:"+key.ID, Success,
		fmt.Sprintf("generation %d, %s, signs from %s%s", key.Generation, of, key.SignsAt.UTC().Format(time.RFC3339), text)))
	if err == nil && !added && actor.Kind != ActorSystem {
		err = errOvertaken
	}
	return key, err
}

func newPrivateKey(of Algorithm) (crypto.Signer, error) {
	if of == RS256 {
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func (k *Keys) open(key SigningKey) (Signer, error) {
	if known := k.known.Load(); known != nil {
		if ring := (*known)[key.Algorithm]; ring != nil {
			if i := slices.Index(ring.all, key); i >= 0 {
				return ring.signers[i], nil
			}
		}
	}
	raw, err := k.sealer.OpenKept(key.Sealed)
	if err != nil {
		return Signer{}, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(raw)
	if err != nil {
		return Signer{}, err
	}
	s := Signer{ID: key.ID, heads: make(map[string]string), public: jose.JSONWebKey{KeyID: key.ID, Algorithm: string(key.Algorithm), Use: "sig"}}
	switch p := parsed.(type) {
	case *ecdsa.PrivateKey:
		if key.Algorithm == ES256 && p.Curve == elliptic.P256() {
			s.public.Key, s.sign = p.Public(), func(digest []byte) ([]byte, error) { return signES256(p, digest) }
		}
	case *rsa.PrivateKey:
		if key.Algorithm == RS256 {
			s.public.Key, s.sign = p.Public(), func(digest []byte) ([]byte, error) { return rsa.SignPKCS1v15(nil, p, crypto.SHA256, digest) }
		}
	}
	if s.sign == nil {
		return Signer{}, errors.New("it is of another kind")
	}
	for _, typ := range []string{TypeJWT, TypeAccessToken, TypeLogoutToken} {
		s.heads[typ], err = jwtHead(key, typ)
		if err != nil {
			return Signer{}, err
		}
	}
	return s, nil
}

// Signer gives the key of ES256 that signs now, or ErrNoSigningKey.
func (k *Keys) Signer(now time.Time) (*Signer, error) {
	if known := k.known.Load(); known != nil {
		if ring := (*known)[ES256]; ring != nil {
			return &ring.signers[signing(ring.all, now)], nil
		}
	}
	return nil, ErrNoSigningKey
}

// SignerOf gives the key of an algorithm that signs now. The first one of an algorithm is
// made when it is first asked for.
func (k *Keys) SignerOf(ctx context.Context, of Algorithm, now time.Time) (*Signer, error) {
	for try := 0; ; try++ {
		if known := k.known.Load(); known != nil {
			if ring := (*known)[of]; ring != nil {
				return &ring.signers[signing(ring.all, now)], nil
			}
		}
		if try > 0 || !k.wanted.Load() {
			return nil, ErrNoSigningKey
		}
		if err := k.load(ctx, of); err != nil {
			return nil, err
		}
	}
}

// Public gives the public keys by which signatures of now, of some time before and
// of those to come are checked (RFC 7517).
func (k *Keys) Public(now time.Time) jose.JSONWebKeySet {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	known := k.known.Load()
	if known == nil {
		return set
	}
	for _, of := range Algorithms {
		if ring := (*known)[of]; ring != nil {
			for i := published(ring.all, now); i < len(ring.all); i++ {
				set.Keys = append(set.Keys, ring.signers[i].public)
			}
		}
	}
	return set
}

// ErrNotSigned says that a text is no JWT that the installation signed, of the type that is
// asked for, by a key that is published still.
var ErrNotSigned = errors.New("it is not signed by this installation")

// Verify reads the claims of a JWT of a type that the installation signed, into what claims
// point to: ErrNotSigned. When it expires is for the caller to see.
func (k *Keys) Verify(text, typ string, now time.Time, claims any) error {
	if !asWritten(text) {
		return ErrNotSigned
	}
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil || len(parsed.Headers) != 1 {
		return ErrNotSigned
	}
	head := parsed.Headers[0]
	known := k.known.Load()
	if known == nil {
		return ErrNoSigningKey
	}
	ring := (*known)[Algorithm(head.Algorithm)]
	if got, _ := head.ExtraHeaders[jose.HeaderType].(string); ring == nil || got != typ {
		return ErrNotSigned
	}
	for i := published(ring.all, now); i < len(ring.all); i++ {
		if ring.all[i].ID == head.KeyID {
			if parsed.Claims(ring.signers[i].public, claims) == nil {
				return nil
			}
			break
		}
	}
	return ErrNotSigned
}

// asWritten tells whether the parts of a JWT are written in the one way in which they are
// made: a decoder takes other ones for the same, which are no text that was revoked, or kept.
func asWritten(text string) bool {
	for part := range strings.SplitSeq(text, ".") {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || base64.RawURLEncoding.EncodeToString(raw) != part {
			return false
		}
	}
	return true
}

// signing gives the place of the key that signs: the newest of those that may.
func signing(all []SigningKey, now time.Time) int {
	for i := len(all) - 1; i > 0; i-- {
		if !now.Before(all[i].SignsAt) {
			return i
		}
	}
	return 0
}

// published gives the place of the oldest key that is published: those are not
// whose successor may have signed for the overlap.
func published(all []SigningKey, now time.Time) int { return signing(all, now.Add(-keyOverlap)) }

// KeyState says what a signing key is there for.
type KeyState string

// The states of a key.
const (
	KeyNext  KeyState = "next" // published, and signs later
	KeySigns KeyState = "signs"
	KeyOld   KeyState = "old"  // published, for what it has signed
	KeyGone  KeyState = "gone" // not published any more
)

// KeyStates gives the state of each key.
func KeyStates(all []SigningKey, now time.Time) []KeyState {
	states := make([]KeyState, len(all))
	place := make(map[Algorithm]int) // among those of its algorithm
	for n, key := range all {
		some := ofAlgorithm(all, key.Algorithm)
		i := place[key.Algorithm]
		place[key.Algorithm]++
		switch signs := signing(some, now); {
		case i > signs:
			states[n] = KeyNext
		case i == signs:
			states[n] = KeySigns
		case i >= published(some, now):
			states[n] = KeyOld
		default:
			states[n] = KeyGone
		}
	}
	return states
}

// List gives all signing keys that are stored, the oldest first.
func (k *Keys) List(ctx context.Context) ([]SigningKey, error) { return k.store.SigningKeys(ctx) }
