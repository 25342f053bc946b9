//go:build !linux

package password

// stepBack does nothing here: elsewhere a priority is that of the whole process,
// or there is no portable way to change a thread's.
func stepBack() {}

// onFirstThread need not be known where no thread's priority changes.
func onFirstThread() bool { return false }
