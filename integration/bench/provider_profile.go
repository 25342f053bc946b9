package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// profile takes profiles of each portal while a grant is measured: a file for the processor's
// time, and one for what is allocated. What it returns waits for them.
func (t *trial) profile(ctx context.Context, g grant, opts options) func() error {
	if opts.profile == "" {
		return func() error { return nil }
	}
	seconds := max(1, int((options{grants: []grant{g}, providerDatabases: opts.providerDatabases, duration: opts.duration, rounds: opts.rounds}).planProvider()/time.Second)/2)
	told := make(chan error)
	n := 0
	for _, p := range t.portals {
		for kind, path := range map[string]string{"cpu": "profile", "allocs": "allocs"} {
			name := filepath.Join(opts.profile, strings.ReplaceAll(g.name, " ", "-")+"-"+p.ground.name+"."+kind+".prof")
			n++
			go func() {
				told <- fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/%s?seconds=%d", p.admin, path, seconds), name)
			}()
		}
	}
	return func() error {
		var errs []error
		for range n {
			errs = append(errs, <-told)
		}
		return errors.Join(errs...)
	}
}

// fetch writes what is at an address into a file.
func fetch(ctx context.Context, from, name string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", from, resp.Status, body)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(name, body, 0o600)
}
