package webhook

import "time"

// backoff is how long a delivery waits after each try that failed: ten more tries within
// two days.
var backoff = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 16 * time.Hour}

// retryAfter is how long to wait after so many tries; false says that it is given up.
func retryAfter(tries int) (time.Duration, bool) {
	if tries < 1 || tries > len(backoff) {
		return 0, false
	}
	return backoff[tries-1], true
}

const (
	// giveUpAge is when a delivery is given up that had fewer tries, because others waited
	// before it.
	giveUpAge = 3 * 24 * time.Hour
	// disableAge is for how long a webhook may fail without a success between.
	disableAge = 5 * 24 * time.Hour
	// restAfter is how many tries in a row fail before a webhook is left alone for a while.
	restAfter   = 3
	firstRest   = time.Second
	longestRest = time.Minute
)

// rest is how long a webhook is left alone after so many failures in a row.
func rest(failures int) time.Duration {
	if failures < restAfter {
		return 0
	}
	return min(firstRest<<min(failures-restAfter, 10), longestRest)
}
