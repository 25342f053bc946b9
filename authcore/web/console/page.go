package console

import (
	"html/template"
	"time"
)

// Page is what is on a page.
type Page struct {
	Title string
	Above *Link  // the page that this one is part of; nil for none
	Lead  string // a sentence on what it is about
	Tag   *Cell  // a status beside the title; nil for none
	Nav   []Link // the pages of the organization, or of the installation
	Parts []Part
	// Pointed says that the error of a form stands beside the field that it is about.
	Pointed bool
}

// Link leads to another page.
type Link struct {
	Text, URL string
	Here      bool
}

// Part is one section of a page. What is empty is not shown.
type Part struct {
	ID, Title, About string
	Secret           *Secret
	Facts            []Fact
	Plot             *Plot
	Table            *Table
	Forms            []Form
}

// Secret is what is shown this once.
type Secret struct{ Label, Value, Hint string }

// Fact is a name with a value.
type Fact struct {
	Name  string
	Value Cell
}

// Cell is a text in a table, a link where URL says so, or a time.
type Cell struct {
	Text string
	URL  string
	Tag  string // shown as a label, in a colour: good, wait, bad, or plain
	Code bool   // for programs: not to be read as words
	Time time.Time
}

// Plot is a picture of numbers over time, with what it says in words.
type Plot struct {
	Caption string
	Picture template.HTML // SVG
	Words   string
	Keys    []PlotKey
}

// PlotKey says what a colour of a plot stands for.
type PlotKey struct{ Class, Text string }

// Table is a list, a page of it at a time.
type Table struct {
	Caption string // for who does not see the heading above it
	Search  *Search
	Columns []string
	Sort    map[string]Heading // those of the columns that the list can be sorted by
	Rows    []Row
	Empty   string // what to do where there is nothing
	First   string // address of the first page, where this is another one
	Next    string // address of the next page; empty after the last
}

// Heading is that of a column that a list can be sorted by.
type Heading struct {
	URL string // of the list in the order of the column; in the opposite one where it has that
	Now string // "ascending" or "descending", as aria-sort says it; empty where it is sorted otherwise
}

// Row is one line of a table, with what can be done to it.
type Row struct {
	Cells []Cell
	More  []Fact // shown when asked for
	Forms []Form
}

// Search is the form over a table.
type Search struct {
	Label  string // of the field to search in; empty for none
	Value  string
	Fields []Field // filters
	Kept   []Field // what else the address says
}

// Form does something. It is sent to the page that it is on.
type Form struct {
	Do      string // which of the page's deeds
	Button  string
	Of      string // what the button is about, for who hears it alone
	Danger  bool   // what it does cannot be undone
	Folded  string // it is shown when this is pressed; empty: at once
	Fields  []Field
	Hidden  []Field
	Hint    string
	Confirm string // has to be typed
	To      string // a page to send it to instead; then it is a link
}

// Field is something to fill in.
type Field struct {
	Name, Label, Value string
	Kind               Kind
	Options            []Option // of a choice, or of checks
	Hint               string
	Optional           bool
	Error              string
	Complete           string // autocomplete
	Max                int    // characters; 0: as many as one likes
}

// Kind is what is to be filled in.
type Kind string

// The kinds of field.
const (
	Text   Kind = "text"
	Email  Kind = "email"
	URL    Kind = "url"
	Number Kind = "number"
	Lines  Kind = "lines"  // several, one a line
	Choice Kind = "choice" // one of the options
	Checks Kind = "checks" // any of the options
	Check  Kind = "check"  // yes or no
	Date   Kind = "date"
)

// Option is one that can be chosen.
type Option struct {
	Value, Text string
	On          bool
}
