// Command zitadel is the example server of github.com/zitadel/oidc, for the benchmark: its
// provider and its storage in memory as they come, with clients added, with a key of ES256 in
// the place of RSA, which is what our provider signs with, and without a log line for each
// request. It tells its address, and refresh tokens, and ends with its standard input.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The clients. What acts for itself is a service user in the example, whom its introspection
// looks for among the users, and who asks must be in the audience: so one name is all three.
const (
	service       = "sid1"
	serviceSecret = "verysecret"
	signedService = "sid1-jwt" // the same, whose tokens are signed
	web           = "web"
	device        = "device"
	secret        = "secret"
)

// refreshTokens is how many sign-ins there are: one for each connection of the benchmark.
const refreshTokens = 64

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "zitadel:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := "http://" + ln.Addr().String()
	storage.RegisterClients(storage.WebClient(service, serviceSecret), storage.WebClient(web, secret), storage.DeviceClient(device, secret))
	store, err := newStore(issuer)
	if err != nil {
		return err
	}
	tokens, err := store.signIn(context.Background())
	if err != nil {
		return err
	}
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	server := &http.Server{Handler: exampleop.SetupServer(issuer, store, quiet, false)}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		os.Exit(0)
	}()
	err = json.NewEncoder(out).Encode(map[string]any{"addr": ln.Addr().String(), "refresh": tokens})
	if err != nil {
		return err
	}
	return server.Serve(ln)
}

// users are those of the example, and the service.
type users struct{ storage.UserStore }

func (u users) GetUserByID(id string) *storage.User {
	if id == service {
		return &storage.User{ID: service, Username: service}
	}
	return u.UserStore.GetUserByID(id)
}

// store is the storage of the example.
type store struct {
	*storage.Storage
	key *ecdsa.PrivateKey
}

func newStore(issuer string) (*store, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &store{storage.NewStorage(users{storage.NewUserStore(issuer)}), key}, err
}

// signIn makes sign-ins with a refresh token each, as the example does for a code.
func (s *store) signIn(ctx context.Context) ([]string, error) {
	var all []string
	for range refreshTokens {
		asked := &oidc.AuthRequest{ClientID: web, ResponseType: oidc.ResponseTypeCode, Scopes: oidc.SpaceDelimitedArray{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeOfflineAccess}}
		in, err := s.CreateAuthRequest(ctx, asked, "id1")
		if err != nil {
			return nil, err
		}
		_, token, _, err := s.CreateAccessAndRefreshTokens(ctx, in, "")
		if err != nil {
			return nil, err
		}
		all = append(all, token)
	}
	return all, nil
}

// ClientCredentials implements op.ClientCredentialsStorage.
func (s *store) ClientCredentials(ctx context.Context, id, given string) (op.Client, error) {
	if id != signedService {
		return s.Storage.ClientCredentials(ctx, id, given)
	}
	c, err := s.Storage.ClientCredentials(ctx, service, given)
	return signed{c}, err
}

// ClientCredentialsTokenRequest implements op.ClientCredentialsStorage.
func (s *store) ClientCredentialsTokenRequest(ctx context.Context, id string, scopes []string) (op.TokenRequest, error) {
	if id == signedService {
		id = service
	}
	return s.Storage.ClientCredentialsTokenRequest(ctx, id, scopes)
}

// signed is a client whose access tokens are JWTs.
type signed struct{ op.Client }

func (signed) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// SigningKey implements op.Storage.
func (s *store) SigningKey(context.Context) (op.SigningKey, error) { return private{s.key}, nil }

// SignatureAlgorithms implements op.Storage.
func (*store) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

// KeySet implements op.Storage.
func (s *store) KeySet(context.Context) ([]op.Key, error) { return []op.Key{public{s.key}}, nil }

// private and public are the key, as the two interfaces want it.
type private struct{ key *ecdsa.PrivateKey }

func (private) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (p private) Key() any                                  { return p.key }
func (private) ID() string                                  { return "key1" }

type public struct{ key *ecdsa.PrivateKey }

func (public) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (public) Use() string                        { return "sig" }
func (p public) Key() any                         { return &p.key.PublicKey }
func (public) ID() string                         { return "key1" }
