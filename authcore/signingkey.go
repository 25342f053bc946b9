package authcore

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// SigningKey is a key that the installation signs with, for others to check.
type SigningKey struct {
	Generation int64     // 1 and up, over all algorithms: of the keys of one that may sign, the newest does
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
	keyLife      = 30 * 24 * time.Hour
	keyOverlap   = 24 * time.Hour
	keySoon      = 10 * time.Minute // before a key signs that was asked for
	keyReload    = 10 * time.Second
	keyLoadLimit = 2 * time.Second
)

// Keys are the signing keys as a node knows them. Each node reads them every ten
// seconds, and adds the next one when it is due.
type Keys struct {
	store  KeyStore
	sealer *Sealer
	now    func() time.Time
	wanted atomic.Bool
	mu     sync.Mutex // one reads at a time
	known  atomic.Pointer[keySet]
}

// keySet is all keys, and what each of them signs with.
type keySet struct {
	all     []SigningKey
	signers []Signer
}

// Signer signs with one key.
type Signer struct {
	ID     string
	sign   jose.Signer
	public jose.JSONWebKey
}

// NewKeys makes the keys of an installation with a secret key. Nothing is read or
// made before Want.
func NewKeys(store KeyStore, secret SecretKey, now func() time.Time) *Keys {
	return &Keys{store: store, sealer: secret.NewSealer("signing key", now), now: now}
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
		if !k.wanted.Load() {
			return nil
		}
		return k.load(ctx)
	}, report)
}

// load reads the keys, and adds one where it is due.
func (k *Keys) load(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, err := k.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	if now := k.now(); due(all, now) {
		if _, err := k.add(ctx, Actor{Kind: ActorSystem}, all, now.Add(keyOverlap), false); err != nil {
			return err
		}
		if all, err = k.store.SigningKeys(ctx); err != nil {
			return err
		}
	}
	next := &keySet{all: all, signers: make([]Signer, len(all))}
	for i, key := range all {
		if next.signers[i], err = k.open(key); err != nil {
			return fmt.Errorf("signing key %d cannot be used: %w; make a new one with: caddy gate key rotate --now", key.Generation, err)
		}
	}
	k.known.Store(next)
	return nil
}

// due tells whether the next key is to be published.
func due(all []SigningKey, now time.Time) bool {
	return len(all) == 0 || !now.Before(all[len(all)-1].SignsAt.Add(keyLife-keyOverlap))
}

// Rotate makes a new key: one that signs in ten minutes, when those who check
// signatures have had time to learn of it, or, where the others are known to
// somebody else, one that signs at once while they are dropped.
func (k *Keys) Rotate(ctx context.Context, actor Actor, leaked bool) (SigningKey, error) {
	for {
		all, err := k.store.SigningKeys(ctx)
		if err != nil {
			return SigningKey{}, err
		}
		from := k.now()
		if !leaked {
			from = from.Add(keySoon)
		}
		key, err := k.add(ctx, actor, all, from, leaked)
		if errors.Is(err, errOvertaken) {
			continue // another node has made one in between
		}
		if err == nil && k.wanted.Load() {
			err = k.load(ctx)
		}
		return key, err
	}
}

var errOvertaken = errors.New("another node has made a signing key just now")

// add makes the key after all others. The first one signs at once.
func (k *Keys) add(ctx context.Context, actor Actor, all []SigningKey, from time.Time, leaked bool) (SigningKey, error) {
	now := k.now()
	key := SigningKey{Generation: 1, CreatedAt: now, SignsAt: from}
	keep, text := int64(0), ""
	if n := len(all); n > 0 {
		key.Generation = all[n-1].Generation + 1
		keep = all[published(all, now)].Generation
	} else {
		key.SignsAt = now
	}
	if leaked {
		keep, text = key.Generation, "; the others are dropped"
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
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
		fmt.Sprintf("generation %d, signs from %s%s", key.Generation, key.SignsAt.UTC().Format(time.RFC3339), text)))
	if err == nil && !added && actor.Kind != ActorSystem {
		err = errOvertaken
	}
	return key, err
}

func (k *Keys) open(key SigningKey) (Signer, error) {
	if known := k.known.Load(); known != nil {
		if i := slices.Index(known.all, key); i >= 0 {
			return known.signers[i], nil
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
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return Signer{}, errors.New("it is of another kind")
	}
	s := Signer{ID: key.ID, public: jose.JSONWebKey{Key: private.Public(), KeyID: key.ID, Algorithm: string(jose.ES256), Use: "sig"}}
	s.sign, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: key.ID}},
		new(jose.SignerOptions).WithType("JWT"))
	return s, err
}

// Signer gives the key that signs now, or ErrNoSigningKey.
func (k *Keys) Signer(now time.Time) (*Signer, error) {
	known := k.known.Load()
	if known == nil {
		return nil, ErrNoSigningKey
	}
	return &known.signers[signing(known.all, now)], nil
}

// Public gives the public keys by which signatures of now, of some time before and
// of those to come are checked (RFC 7517).
func (k *Keys) Public(now time.Time) jose.JSONWebKeySet {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	if known := k.known.Load(); known != nil {
		for i := published(known.all, now); i < len(known.all); i++ {
			set.Keys = append(set.Keys, known.signers[i].public)
		}
	}
	return set
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
	for i := range all {
		switch signs := signing(all, now); {
		case i > signs:
			states[i] = KeyNext
		case i == signs:
			states[i] = KeySigns
		case i >= published(all, now):
			states[i] = KeyOld
		default:
			states[i] = KeyGone
		}
	}
	return states
}

// List gives all signing keys that are stored, the oldest first.
func (k *Keys) List(ctx context.Context) ([]SigningKey, error) { return k.store.SigningKeys(ctx) }

// Sign makes a JWT of claims (RFC 7519), in compact form.
func (s *Signer) Sign(claims any) (string, error) {
	return jwt.Signed(s.sign).Claims(claims).Serialize()
}
