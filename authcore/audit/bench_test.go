package audit

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// void takes everything.
type void struct{}

func (void) InsertEvents(context.Context, []authcore.Event, bool) error { return nil }
func (void) SealEvents(context.Context, bool) error                     { return nil }

// BenchmarkRecord is what an event costs whoever records it, from the making of it
// on. What does not fit into the queue for a moment waits, as it does in earnest.
func BenchmarkRecord(b *testing.B) {
	parts := quiet
	parts.Spill = &SpillPlace{Dir: b.TempDir(), Name: "bench"}
	a := New(void{}, DefaultSettings, parts)
	defer a.Close(context.Background())
	by := authcore.Actor{Kind: authcore.ActorUser, User: "0198c0de-0000-7000-8000-000000000000", Client: authcore.NewClient("192.0.2.1", "Browser/1.0", "request")}
	b.Run("made", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			authcore.NewEvent(time.Now(), by, authcore.UserLogin, "user:0198c0de-0000-7000-8000-000000000000", authcore.Failure, "wrong password")
		}
	})
	b.Run("made and recorded", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a.Record(authcore.NewEvent(time.Now(), by, authcore.UserLogin, "user:0198c0de-0000-7000-8000-000000000000", authcore.Failure, "wrong password"))
		}
	})
	if s := a.Stats(); s.Dropped > 0 {
		b.Errorf("%d of %d dropped", s.Dropped, s.Accepted)
	}
}
