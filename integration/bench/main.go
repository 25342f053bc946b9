package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options is what the command line says.
type options struct {
	caddy     string
	json      string
	rounds    int
	duration  time.Duration
	scenarios []scenario
	variants  []variant
	databases []database
	forwards  []forward
	grants    []grant
	profile   string // folder for profiles of the provider; empty: none

	providerDatabases []database // that the provider is measured on
	sessions          int        // in the big SQLite file; 0: none is made
	storms            []storm
	ways              []way
	board             string // folder for the scoreboard, instead of everything else
	quick             bool
}

func main() {
	if len(os.Args) == 2 && (os.Args[1] == upstreamMode || os.Args[1] == limitMode) {
		if err := upstreamMain(os.Args[1], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench upstream:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 2 && os.Args[1] == crowdMode {
		if err := crowdMain(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench crowd:", err)
			os.Exit(1)
		}
		return
	}
	// Children are told to die with the thread that started them, and inherit
	// its cores: so they are all started from this one, which lives to the end.
	runtime.LockOSThread()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run does what main does and returns the exit code: 0 when everything was
// measured, 1 when something failed, 2 when the flags make no sense.
func run(args []string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	planned := opts.planned()
	ctx, cancelLimit := context.WithTimeoutCause(ctx, 2*planned+2*time.Minute,
		errors.New("the run took more than twice the planned time and was stopped"))
	defer cancelLimit()

	fmt.Fprintf(stderr, "bench: about %v, %d rounds\n", (planned + 15*time.Second).Round(time.Second), opts.rounds)
	rep, err := measure(ctx, opts, stderr)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	if err := rep.print(stdout); err != nil {
		fmt.Fprintln(stderr, "bench: write the report:", err)
		return 1
	}
	if opts.board != "" {
		if err := rep.writeBoard(opts.board); err != nil {
			fmt.Fprintln(stderr, "bench: write the scoreboard:", err)
			return 1
		}
	}
	if opts.json != "" {
		if err := rep.writeJSON(opts.json); err != nil {
			fmt.Fprintln(stderr, "bench: write the JSON report:", err)
			return 1
		}
	}
	if rep.Failed > 0 {
		fmt.Fprintf(stderr, "bench: %d requests failed, so these figures are not valid; the first: %s\n", rep.Failed, rep.Failure)
		return 1
	}
	return 0
}

// parseOptions reads the flags and checks them.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var only, variants, on string
	ways := defaultWays
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.caddy, "caddy", "bin/caddy", "Caddy `binary` with the gate in it")
	fs.StringVar(&o.json, "json", "", "also write the report to this `file` as JSON")
	fs.IntVar(&o.rounds, "rounds", 6, "how many `times` to go through all scenarios (1 to 99)")
	fs.DurationVar(&o.duration, "duration", 2*time.Second, "measured `time` of a variant in a scenario in each round (100ms to 1m); open210 takes twice that")
	fs.StringVar(&only, "only", "", "comma-separated `scenarios`: "+scenarioNames()+"; databases: "+databaseNames()+"; proxies that ask: "+forwardNames()+"; the provider: "+strings.Join(grantNames(), ", ")+"; and storm, flood; without it: all but the provider and the last two")
	fs.IntVar(&o.sessions, "sessions", 0, "also compare a SQLite file of this `many` sessions with one of "+strconv.Itoa(smallSize)+"; 5000000 take some minutes and 5 GB")
	fs.StringVar(&variants, "variants", "bare,gate,basic_auth", "comma-separated `variants`: bare, gate, basic_auth, control (a second bare one, to see the noise)")
	fs.StringVar(&on, "provider-on", databaseNames(), "comma-separated `databases` that the provider is measured on")
	fs.StringVar(&o.profile, "profile", "", "write profiles of the provider, of the processor and of what is allocated, into this `folder`")
	fs.StringVar(&o.board, "scoreboard", "", "measure the scoreboard, and nothing else, and write scoreboard.md and scoreboard.svg into this `folder`")
	fs.BoolVar(&o.quick, "quick", false, "a scoreboard in a minute or two, to see that it works")
	fs.Func("way", "a way to run Caddy in a storm, as in `\"NAME: permits=2 clients=300 caddy=FILE GOGC=200\"`; may be repeated", func(s string) error {
		if len(ways) > 0 && &ways[0] == &defaultWays[0] {
			ways = nil
		}
		ways = append(ways, s)
		return nil
	})
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.rounds < 1 || o.rounds > 99 {
		return o, fmt.Errorf("--rounds %d: take 1 to 99", o.rounds)
	}
	if o.duration < 100*time.Millisecond || o.duration > time.Minute {
		return o, fmt.Errorf("--duration %v: take 100ms to 1m", o.duration)
	}
	if o.sessions != 0 && o.sessions < smallSize {
		return o, fmt.Errorf("--sessions %d: take 0 or at least %d", o.sessions, smallSize)
	}
	var err error
	if err = o.pick(only); err != nil {
		return o, err
	}
	if o.board != "" {
		o.scenarios, o.databases, o.storms, o.forwards, o.grants = nil, nil, nil, nil, nil
	}
	var known []string
	o.providerDatabases = named(databases, func(d database) string { return d.name }, splitList(on), &known)
	for _, n := range splitList(on) {
		if !slices.Contains(known, n) {
			return o, fmt.Errorf("--provider-on: no database %q; there are %s", n, databaseNames())
		}
	}
	for _, s := range ways {
		w, err := parseWay(s, runtime.NumCPU())
		if err != nil {
			return o, err
		}
		o.ways = append(o.ways, w)
	}
	o.variants, err = pickVariants(variants)
	return o, err
}

// needsCaddy tells whether anything is measured that is not the store alone.
func (o options) needsCaddy() bool {
	return len(o.scenarios)+len(o.storms)+len(o.forwards)+len(o.grants) > 0 || o.board != ""
}

// planned is how long the measuring takes when nothing goes wrong, start-up
// not counted.
func (o options) planned() time.Duration {
	var round time.Duration
	for _, sc := range o.scenarios {
		round += time.Duration(len(o.variants)) * sc.planned(o.duration)
	}
	round += o.planForward()
	for _, d := range o.databases {
		round += time.Duration(len(d.tasks())*len(databaseVariants)) * workTime(o.duration)
	}
	round += time.Duration(len(o.storms)*len(o.ways)) * (2*o.duration + 6*time.Second)
	if o.board != "" {
		p := paceOf(o)
		return time.Duration(p.rounds) * (5*(5*time.Second+2*p.measure+time.Duration(len(rates(p.growth)))*p.step) + 7*p.measure + 20*time.Second)
	}
	planned := time.Duration(o.rounds)*round + o.planProvider()
	if o.sessions > 0 { // the file is filled with 25,000 a second, and read through
		planned += time.Duration(o.sessions)*40*time.Microsecond + time.Minute + time.Duration(o.rounds)*4*workTime(o.duration)
	}
	return planned
}

// splitList splits a comma-separated flag and drops empty parts.
func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
