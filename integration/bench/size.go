package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-auth/gatehouse/store"
)

// The files that are compared.
const (
	small variant = "small"
	big   variant = "big"
)

// sizeReport compares a small with a big SQLite file.
type sizeReport struct {
	Sessions int        `json:"sessions"`
	Filled   float64    `json:"fill_seconds"`
	Bytes    int64      `json:"bytes"`
	OpenBig  spread     `json:"open_seconds"`
	OpenCold spread     `json:"open_cold_seconds"` // none of the file is in memory
	Reads    taskReport `json:"reads"`
}

var sizeTask = task{name: "read", title: "SessionByToken, 1 client, any session", readers: 1, reads: true}

// measureSizes fills two files and reads in turns from both.
func measureSizes(ctx context.Context, dir string, opts options, progress io.Writer) (*sizeReport, error) {
	r := &sizeReport{Sessions: opts.sessions, Reads: newTaskReport(sizeTask, []variant{small, big})}
	paths := map[variant]string{small: filepath.Join(dir, "small.db"), big: filepath.Join(dir, "big.db")}
	if err := fillSQLite(ctx, paths[small], smallSize); err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "filling a file with %d sessions\n", opts.sessions)
	began := time.Now()
	if err := fillSQLite(ctx, paths[big], opts.sessions); err != nil {
		return nil, err
	}
	r.Filled = time.Since(began).Seconds()
	if info, err := os.Stat(paths[big]); err == nil {
		r.Bytes = info.Size()
	}
	var err error
	if r.OpenCold, err = timeOpening(ctx, paths[big], forget); err != nil {
		return nil, err
	}
	if r.OpenBig, err = timeOpening(ctx, paths[big], func(string) error { return nil }); err != nil {
		return nil, err
	}
	return r, r.read(ctx, paths, opts, progress)
}

// fillSQLite makes a file with sessions. Nothing is safe before it is done.
func fillSQLite(ctx context.Context, path string, sessions int) error {
	db, err := store.Open(ctx, store.Config{Driver: store.SQLite, Path: path})
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	// A cache that holds all of the indexes: their keys come in no order.
	pool := sqlitePool(path, 1, "&_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)&_pragma=cache_size(-6000000)")
	err = fill(ctx, pool, asWritten, sessions, time.Now())
	return errors.Join(err, pool.Close())
}

// timeOpening opens a file several times, and tells the seconds.
func timeOpening(ctx context.Context, path string, before func(path string) error) (spread, error) {
	var all []float64
	for range 5 {
		if err := before(path); err != nil {
			return spread{}, err
		}
		began := time.Now()
		db, err := store.Open(ctx, store.Config{Driver: store.SQLite, Path: path})
		if err == nil {
			_, _, err = db.SessionByToken(ctx, tokenOf(0))
		}
		if err != nil {
			return spread{}, err
		}
		all = append(all, time.Since(began).Seconds())
		if err := db.Close(); err != nil {
			return spread{}, err
		}
	}
	return spreadOf(all), nil
}

// read reads random sessions from both files, which the system has in memory as
// far as it fits: the big one is read through before.
func (r *sizeReport) read(ctx context.Context, paths map[variant]string, opts options, progress io.Writer) error {
	sizes := map[variant]int{small: smallSize, big: r.Sessions}
	ways := map[variant]filled{}
	for v, path := range paths {
		if err := readThrough(path); err != nil {
			return err
		}
		db, err := store.Open(ctx, store.Config{Driver: store.SQLite, Path: path})
		if err != nil {
			return err
		}
		defer db.Close()
		ways[v] = filled{viaStore{db}, sizes[v]}
	}
	for round := range opts.rounds {
		if err := r.Reads.round(ctx, ways, round, 2*workTurns(opts.duration)); err != nil {
			return err
		}
		fmt.Fprintf(progress, "round %d/%d  sizes %s\n", round+1, opts.rounds, r.Reads.lastRound())
	}
	r.Reads.finish()
	return nil
}

// readThrough brings a file into the system's memory.
func readThrough(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

// print writes the table.
func (r *sizeReport) print(w io.Writer) {
	fmt.Fprintf(w, "\nsizes: SQLite files of %d and %d sessions (%.2f GB, filled in %.0f s), in the system's memory as far as it fits; ratio: to the small one\n",
		smallSize, r.Sessions, float64(r.Bytes)/1e9, r.Filled)
	printTasks(w, []taskReport{r.Reads})
	fmt.Fprintf(w, "opening the big one and a first read: %.3f ± %.3f s; nothing of it in memory: %.3f ± %.3f s\n",
		r.OpenBig.Median, r.OpenBig.Margin, r.OpenCold.Median, r.OpenCold.Margin)
}
