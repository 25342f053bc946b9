package password

// Observe has begin called before every Argon2 run, and what it returns after it,
// with whether there was one: not where the caller has left before its turn.
// Whoever measures brings a clock along, because this package has none. The time in
// line is no part of it, the time until a thread has a processor is.
func (g *Gate) Observe(begin func() (end func(ran bool))) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.observe = begin
}

// begin returns what is to be called after an Argon2 run.
func (g *Gate) begin() (end func(ran bool)) {
	g.mu.Lock()
	observe := g.observe
	g.mu.Unlock()
	if observe == nil {
		return func(bool) {}
	}
	return observe()
}
