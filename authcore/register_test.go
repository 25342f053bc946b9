package authcore_test

import (
	"errors"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// What an attacker who knows the account tries first is no password for it.
func TestPasswordIsNotPersonal(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	b.Rules = b.Rules.WithFactor()
	for _, pw := range []authcore.Secret{"nadia.sample@example.com", "NADIA.SAMPLE@example.com", "nadia.sample", "example.com", "Nadia Sample", "nadiasample", "gatehouse"} {
		_, err := b.CreateUser(t.Context(), authcore.CommandLine(), authcore.NewUser{Username: "countess1", Email: "nadia.sample@example.com", Name: "Nadia Sample", Password: pw})
		var ours *authcore.Error
		if !errors.As(err, &ours) || ours.Code != "password_personal" {
			t.Errorf("%q: %v, want password_personal", pw.Reveal(), err)
		}
	}
}
