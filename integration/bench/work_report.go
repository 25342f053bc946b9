package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// databaseReport is what a run found about one database.
type databaseReport struct {
	Name  string       `json:"name"`
	Title string       `json:"title"`
	Tasks []taskReport `json:"tasks"`
}

type taskReport struct {
	task  task
	Name  string      `json:"name"`
	Title string      `json:"title"`
	Ways  []wayReport `json:"ways"`
}

// wayReport holds a way's medians over the slices, and the ratios to the first
// way's slices of the same turn.
type wayReport struct {
	Way        variant      `json:"way"`
	Throughput float64      `json:"per_second"`
	P50        float64      `json:"p50_us"`
	P99        float64      `json:"p99_us"`
	CPU        float64      `json:"cpu_us"`
	Ratio      spread       `json:"ratio"`     // of what is done in a second
	RatioP99   spread       `json:"ratio_p99"` // of the 99th percentile
	Slices     []workSample `json:"slices"`
}

type workSample struct {
	Throughput float64 `json:"per_second"`
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	CPU        float64 `json:"cpu_us"` // of our process, for one; beside others, for them too
}

// workSliceTime is the time of one slice; workTime that of a way in a task in
// each round, half of what a scenario with Caddy gets.
const workSliceTime = 250 * time.Millisecond

func workTime(unit time.Duration) time.Duration {
	return time.Duration(workTurns(unit))*workSliceTime + warmUp
}

func workTurns(unit time.Duration) int { return max(1, int(unit/2/workSliceTime)) }

// measureDatabases measures all databases, one after the other.
func measureDatabases(ctx context.Context, dir string, opts options, progress io.Writer) ([]databaseReport, error) {
	var out []databaseReport
	for _, d := range opts.databases {
		r, err := d.measure(ctx, dir, opts, progress)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func (d database) measure(ctx context.Context, dir string, opts options, progress io.Writer) (databaseReport, error) {
	r := databaseReport{Name: d.name, Title: d.title}
	o, err := d.open(ctx, dir)
	if err != nil {
		return r, err
	}
	defer o.close()
	for _, t := range d.tasks() {
		r.Tasks = append(r.Tasks, newTaskReport(t, databaseVariants))
	}
	for round := range opts.rounds {
		for i := range r.Tasks {
			if err := r.Tasks[i].round(ctx, o.ways, round, workTurns(opts.duration)); err != nil {
				return r, err
			}
			fmt.Fprintf(progress, "round %d/%d  %s %s\n", round+1, opts.rounds, d.name, r.Tasks[i].lastRound())
		}
	}
	for i := range r.Tasks {
		r.Tasks[i].finish()
	}
	return r, nil
}

func newTaskReport(t task, ways []variant) taskReport {
	r := taskReport{task: t, Name: t.name, Title: t.title}
	for _, w := range ways {
		r.Ways = append(r.Ways, wayReport{Way: w})
	}
	return r
}

// round gives each way its slices in turns, after one to warm up.
func (r *taskReport) round(ctx context.Context, ways map[variant]filled, round, turns int) error {
	var order []variant
	for _, w := range r.Ways {
		order = append(order, w.Way)
	}
	for t := -1; t < turns; t++ {
		for _, v := range turn(order, round*turns+max(t, 0)) {
			d := workSliceTime
			if t < 0 {
				d = warmUp
			}
			s, err := r.task.run(ctx, ways[v], d)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", r.Name, v, err)
			}
			if t >= 0 {
				i := slices.Index(order, v)
				r.Ways[i].Slices = append(r.Ways[i].Slices, workSample{
					s.throughput(), microseconds(percentile(s.latencies, 0.5)), microseconds(percentile(s.latencies, 0.99)), perRequest(s.cpu, len(s.latencies))})
			}
		}
	}
	return nil
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// finish works out medians and ratios.
func (r *taskReport) finish() {
	for i := range r.Ways {
		w := &r.Ways[i]
		var throughputs, p50s, p99s, cpus, ratios, p99Ratios []float64
		for j, s := range w.Slices {
			base := r.Ways[0].Slices[j]
			throughputs, p50s = append(throughputs, s.Throughput), append(p50s, s.P50)
			p99s, cpus = append(p99s, s.P99), append(cpus, s.CPU)
			ratios, p99Ratios = append(ratios, quotient(s.Throughput, base.Throughput)), append(p99Ratios, quotient(s.P99, base.P99))
		}
		w.Throughput, w.P50, w.P99, w.CPU = median(throughputs), median(p50s), median(p99s), median(cpus)
		w.Ratio, w.RatioP99 = spreadOf(ratios), spreadOf(p99Ratios)
	}
}

// lastRound is a line on the last slices.
func (r *taskReport) lastRound() string {
	line := fmt.Sprintf("%-12s", r.Name)
	for _, w := range r.Ways {
		last := w.Slices[len(w.Slices)-1]
		line += fmt.Sprintf("  %s %.0f/s, p99 %.0f µs", w.Way, last.Throughput, last.P99)
	}
	return line
}

// print writes a database's table.
func (r *databaseReport) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s: %s; %d sessions to read, users with two groups; ratio: to raw, of the same turn\n", r.Name, r.Title, smallSize)
	printTasks(w, r.Tasks)
}

func printTasks(w io.Writer, tasks []taskReport) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "what\tvariant\tper s\tp50 µs\tp99 µs\tCPU µs\tratio\t±\tp99 ratio\t±\t")
	for _, task := range tasks {
		for _, v := range task.Ways {
			fmt.Fprintf(t, "%s\t%s\t%.0f\t%.0f\t%.0f\t%.1f\t%.3f\t%.3f\t%.3f\t%.3f\t\n", task.Title, v.Way, v.Throughput, v.P50, v.P99, v.CPU,
				v.Ratio.Median, v.Ratio.Margin, v.RatioP99.Median, v.RatioP99.Margin)
		}
	}
	t.Flush() // into a buffer: it cannot fail
}

// storeVerdict is a verdict on the store.
type storeVerdict struct {
	verdict
	about, who string
}

func (r *report) storeVerdicts() []storeVerdict {
	var out []storeVerdict
	add := func(about, who string, kind measureKind, limit, value, margin float64) {
		v := verdict{Target: target{kind, limit}, Value: value, Margin: margin}
		v.Reached = v.Target.reached(value)
		out = append(out, storeVerdict{v, about, who})
	}
	for _, d := range r.Databases {
		for _, t := range d.Tasks {
			if ratio := t.Ways[len(t.Ways)-1].Ratio; t.task.limit > 0 {
				add(d.Name+" "+t.Name, "store", byRaw, t.task.limit, ratio.Median, ratio.Margin)
			}
		}
	}
	if r.Sizes != nil {
		big := r.Sizes.Reads.Ways[1]
		add("sqlite size", "store", bySize, 1.5, 1/big.Ratio.Median, big.Ratio.Margin/big.Ratio.Median/big.Ratio.Median)
		add("sqlite open", "store", byOpening, 2, r.Sizes.OpenBig.Median, r.Sizes.OpenBig.Margin)
	}
	return out
}
