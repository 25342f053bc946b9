package argon2id

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
)

// costs are the server's default, one pass over more memory, and the second
// recommendation of RFC 9106, section 4.
var costs = []Cost{{19456, 2, 1}, {46 << 10, 1, 1}, {64 << 10, 3, 4}}

// contender is one implementation; derive makes a function for one goroutine.
type contender struct {
	name   string
	derive func() func(Cost)
}

func contenders() []contender {
	password, salt := []byte("a violet umbrella"), []byte("sixteen of salt.")
	own := func(portable bool) func() func(Cost) {
		return func() func(Cost) {
			m, key := &Memory{portable: portable}, make([]byte, 32)
			return func(c Cost) { m.Derive(key, password, salt, c) }
		}
	}
	all := []contender{{"x-crypto", func() func(Cost) {
		return func(c Cost) { argon2.IDKey(password, salt, c.Passes, c.Memory, c.Lanes, 32) }
	}}, {"portable", own(true)}}
	if haveAVX2 {
		all = append(all, contender{"AVX2", own(false)})
	}
	return all
}

// BenchmarkDerive is for the allocations, and for as many goroutines as
// -cpu says.
func BenchmarkDerive(b *testing.B) {
	for _, cost := range costs {
		for _, c := range contenders() {
			b.Run(fmt.Sprintf("m=%d,t=%d,p=%d/%s", cost.Memory, cost.Passes, cost.Lanes, c.name), func(b *testing.B) {
				ready := make(chan func(Cost), runtime.GOMAXPROCS(0))
				for range cap(ready) {
					derive := c.derive()
					derive(cost) // has its memory now
					ready <- derive
				}
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					derive := <-ready
					for pb.Next() {
						derive(cost)
					}
				})
			})
		}
	}
}

// BenchmarkRatio has the contenders take turns and reports, for each, hashes a
// second and the median of its ratios to x/crypto beside it: on a machine with
// other work to do, only those mean something. One op is a turn of each.
func BenchmarkRatio(b *testing.B) {
	for _, cost := range costs {
		for _, goroutines := range []int{1, 2} {
			b.Run(fmt.Sprintf("m=%d,t=%d,p=%d/at once=%d", cost.Memory, cost.Passes, cost.Lanes, goroutines), func(b *testing.B) {
				ratios(b, cost, goroutines)
			})
		}
	}
}

func ratios(b *testing.B, cost Cost, goroutines int) {
	const hashes = 4 // of each goroutine in a turn
	all := contenders()
	derive := make([][]func(Cost), len(all))
	for i, c := range all {
		for range goroutines {
			f := c.derive()
			f(cost) // has its memory now
			derive[i] = append(derive[i], f)
		}
	}
	rates := make([][]float64, len(all))
	quotients := make([][]float64, len(all))
	for b.Loop() {
		for i := range all {
			began := time.Now()
			var wg sync.WaitGroup
			for _, f := range derive[i] {
				wg.Go(func() {
					for range hashes {
						f(cost)
					}
				})
			}
			wg.Wait()
			rates[i] = append(rates[i], float64(hashes*goroutines)/time.Since(began).Seconds())
		}
		last := len(rates[0]) - 1
		for i := range all {
			quotients[i] = append(quotients[i], rates[i][last]/rates[0][last])
		}
	}
	for i, c := range all {
		b.ReportMetric(median(rates[i]), c.name+"/s")
		b.ReportMetric(median(quotients[i]), c.name+"-ratio")
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}
