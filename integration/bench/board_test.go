package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestHighest(t *testing.T) {
	t.Parallel()
	steps := []boardSample{{Rate: 210, InTime: 1}, {Rate: 420, InTime: 0.98}, {Rate: 840, InTime: 0.4}}
	if got := highest(steps); got.Rate != 420 {
		t.Errorf("the highest rate kept up with is %v, want 420", got.Rate)
	}
	if got := highest(steps[2:]); got.Rate != 840 {
		t.Errorf("with none kept up with it is %v, want the first", got.Rate)
	}
}

func TestNewBoardSample(t *testing.T) {
	t.Parallel()
	s := newBoardSample(10, outcome{latencies: []time.Duration{2 * time.Second, time.Millisecond}, refused: []time.Duration{time.Millisecond},
		failed: 1, failure: errors.New("status 503"), elapsed: 2 * time.Second})
	want := boardSample{Rate: 10, Served: 1, P50: 1, P95: 2000, P99: 2000, Errors: 0.25, Refused: 0.25, InTime: 0.5, Failure: "status 503"}
	if s != want {
		t.Errorf("got %+v\nwant %+v", s, want)
	}
}

// sampleBoard is a scoreboard with figures in it.
func sampleBoard() *report {
	r := newBoardReport(rungs(), paceOf(options{quick: true}))
	for i := range r.Rungs {
		s := boardSample{Rate: 210, Served: 210, P50: 1, P95: 2, P99: 30_000, InTime: 1, Writes: 1, Peak: 100}
		late := s
		late.Rate, late.InTime = 420, 0.5
		r.Rungs[i].Moderate, r.Rungs[i].Crowded, r.Rungs[i].Steps = []boardSample{s}, []boardSample{s}, [][]boardSample{{s, late}}
	}
	for i := range r.Storms {
		r.Storms[i].Samples = []stormSample{{IdleP95: 1, P95: 2, Served: 1}}
	}
	r.Hashes = []hashSample{{Bare: 50, SignIns: 60, Ratio: 1.2, Accounted: 1.3}}
	r.finish(2)
	return &report{Board: r}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	text := string(sampleBoard().document())
	for _, want := range []string{mixWords, "| naive | 210 |", "x/crypto", "**not reached**", "| reached |", "(scoreboard.svg)"} {
		if !strings.Contains(text, want) {
			t.Errorf("the document lacks %q", want)
		}
	}
	for _, wrong := range []string{"NaN", "Inf", "%!"} {
		if strings.Contains(text, wrong) {
			t.Errorf("the document has %q", wrong)
		}
	}
}

func TestPlot(t *testing.T) {
	t.Parallel()
	svg := sampleBoard().Board.plot()
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n := bytes.Count(svg, []byte("<polyline")); n != len(rungs()) {
		t.Errorf("%d lines for %d configurations", n, len(rungs()))
	}
	if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
		t.Error("the plot has points that are nowhere")
	}
}
