package main

import (
	"bytes"
	"fmt"
	"math"
	"time"
)

// The plot of the scoreboard: p95 by rate, both on logarithmic axes.
const (
	plotWidth, plotHeight    = 760, 440
	plotLeft, plotRight      = 70, 190
	plotTop, plotBottom      = 40, 60
	plotFastest, plotSlowest = 0.5, 20_000 // ms
)

// The colours differ in lightness as well, and the lines in their dashes, for who
// sees colours differently; all of them can be seen on white and on black.
var plotLines = []struct{ colour, dash string }{
	{"#d1495b", "none"}, {"#c97c1a", "8 3"}, {"#2e8b57", "2 3"}, {"#3c7dd9", "10 3 2 3"}, {"#8a63d2", "none"},
}

// plot draws the way of all configurations to saturation.
func (s *boardReport) plot() []byte {
	var b bytes.Buffer
	last := float64(firstRate) * s.pace.growth
	for _, r := range s.Rungs {
		for _, p := range r.curve() {
			last = max(last, p.Rate)
		}
	}
	x := func(rate float64) float64 {
		return plotLeft + (plotWidth-plotLeft-plotRight)*math.Log(rate/firstRate)/math.Log(last/firstRate)
	}
	y := func(ms float64) float64 {
		ms = min(max(ms, plotFastest), plotSlowest)
		return plotHeight - plotBottom - (plotHeight-plotTop-plotBottom)*math.Log(ms/plotFastest)/math.Log(plotSlowest/plotFastest)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="t">`+"\n", plotWidth, plotHeight, plotWidth, plotHeight)
	b.WriteString(`<title id="t">p95 in milliseconds by requests a second, for each configuration, up to the rate that it does not keep up with</title>
<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .grid { stroke: #d0d7de; } .paper { fill: #ffffff; }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .grid { stroke: #30363d; } .paper { fill: #0d1117; } }
</style>
`)
	fmt.Fprintf(&b, `<rect class="paper" width="%d" height="%d"/>`+"\n", plotWidth, plotHeight)
	for _, ms := range []float64{1, 10, 100, 1000, 10_000} {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%v</text>`+"\n",
			plotLeft, plotWidth-plotRight, y(ms), y(ms), plotLeft-8, y(ms)+4, time.Duration(ms)*time.Millisecond)
	}
	for _, rate := range []float64{210, 500, 1000, 2000, 5000, 10_000, 20_000} {
		if rate <= last {
			fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n",
				x(rate), x(rate), plotTop, plotHeight-plotBottom, x(rate), plotHeight-plotBottom+20, rate)
		}
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">requests a second (open loop)</text>`+"\n", (plotLeft+plotWidth-plotRight)/2, plotHeight-14)
	fmt.Fprintf(&b, `<text x="%d" y="22">p95 of the mix; a ring: no longer kept up with</text>`+"\n", plotLeft)
	for i, r := range s.Rungs {
		r.draw(&b, i, x, y)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// draw draws one line, with its name at the side.
func (r *rungReport) draw(b *bytes.Buffer, i int, x, y func(float64) float64) {
	style := plotLines[i%len(plotLines)]
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="2.5" stroke-dasharray="%s" points="`, style.colour, style.dash)
	for _, p := range r.curve() {
		fmt.Fprintf(b, "%.1f,%.1f ", x(p.Rate), y(p.P95))
	}
	b.WriteString(`"/>` + "\n")
	for _, p := range r.curve() {
		fill := style.colour
		if !p.kept() {
			fill = "none"
		}
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s" stroke="%s" stroke-width="2"/>`+"\n", x(p.Rate), y(p.P95), fill, style.colour)
	}
	at, right := plotTop+14+24*i, plotWidth-plotRight
	fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="%s" stroke-width="2.5" stroke-dasharray="%s"/><text x="%d" y="%d">%s</text>`+"\n",
		right+14, right+42, at, at, style.colour, style.dash, right+48, at+4, r.Name)
}

// curve is the median of each rate over the rounds that came that far.
func (r *rungReport) curve() []boardSample {
	var points []boardSample
	for i := 0; ; i++ {
		var at []boardSample
		for _, steps := range r.Steps {
			if i < len(steps) {
				at = append(at, steps[i])
			}
		}
		if 2*len(at) <= len(r.Steps) { // fewer than half of the rounds: no median of them
			return points
		}
		points = append(points, medianOf(at))
	}
}
