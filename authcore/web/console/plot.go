package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// The measures of a plot, in its own units.
const (
	plotWidth, plotHeight     = 640, 200
	plotLeft, plotFoot, plotY = 40, 24, 8
	plotDays                  = 14
)

// outcomes are drawn on top of one another in this order.
var outcomes = []struct {
	outcome authcore.Outcome
	class   string
	text    string
}{{authcore.Success, "good", "signed in"}, {authcore.Failure, "wait", "wrong"}, {authcore.Refused, "bad", "refused"}}

// signInPlot draws the sign-ins of each of the last days as a bar. It is made of numbers
// and words of ours alone.
func signInPlot(counts []authcore.SignInCount, now time.Time) *Plot {
	today := now.UTC().Truncate(24 * time.Hour)
	var days [plotDays]map[authcore.Outcome]int
	totals, most := make(map[authcore.Outcome]int), 0
	for i := range days {
		days[i] = make(map[authcore.Outcome]int)
	}
	for _, c := range counts {
		i := plotDays - 1 - int(today.Sub(c.Hour.UTC().Truncate(24*time.Hour))/(24*time.Hour))
		if i >= 0 && i < plotDays {
			days[i][c.Outcome] += c.Count
			totals[c.Outcome] += c.Count
		}
	}
	for _, d := range days {
		sum := 0
		for _, n := range d {
			sum += n
		}
		most = max(most, sum)
	}
	p := &Plot{Caption: "Sign-ins a day"}
	for _, o := range outcomes {
		p.Keys = append(p.Keys, PlotKey{o.class, o.text})
	}
	p.Words = fmt.Sprintf("In two weeks: %d signed in, %d wrong, %d refused. At most %d on one day.", totals[authcore.Success], totals[authcore.Failure], totals[authcore.Refused], most)
	p.Picture = drawDays(days[:], today, scale(most), p.Words)
	return p
}

// scale is a round number that is not less than one.
func scale(most int) int {
	top := 4
	for top < most {
		switch {
		case top < most && top*5/2 >= most && top%4 == 0:
			top = top * 5 / 2
		default:
			top *= 10
			if top/4 >= most {
				top /= 4
			}
			if top/2 >= most {
				top /= 2
			}
		}
	}
	return top
}

func drawDays(days []map[authcore.Outcome]int, today time.Time, top int, words string) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, plotHeight, words)
	floor := plotHeight - plotFoot
	high := func(n int) float64 { return float64(n) / float64(top) * float64(floor-plotY) }
	for i := range 3 {
		n := top * i / 2
		y := float64(floor) - high(n)
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%d</text>`, plotLeft, plotWidth, y, y, plotLeft-6, y+4, n)
	}
	step := float64(plotWidth-plotLeft) / float64(len(days))
	for i, d := range days {
		x, y := float64(plotLeft)+float64(i)*step, float64(floor)
		day := today.AddDate(0, 0, i+1-len(days))
		for _, o := range outcomes {
			n := d[o.outcome]
			if n == 0 {
				continue
			}
			y -= high(n)
			fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s: %d %s</title></rect>`, o.class, x+step*0.15, y, step*0.7, high(n), day.Format("2 January"), n, o.text)
		}
		if (len(days)-1-i)%2 == 0 {
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, x+step/2, plotHeight-6, day.Format("2 Jan"))
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // numbers, days and words of ours
}
