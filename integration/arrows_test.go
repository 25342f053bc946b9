package integration

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const houseModule = "github.com/gatehouse-auth/gatehouse"

// The groups of rooms that the arrows speak of. A room is a folder with all
// that is below it, down to the next room; "." is the module's root package. A
// room may not exist yet.
var (
	primitives = []string{"authcore/password", "authcore/totp", "authcore/limit", "authcore/access"}
	adapters   = []string{"authcore/audit", "authcore/connect", "authcore/passkey", "authcore/oidcop", "authcore/webhook", "authcore/mail", "authcore/importer"}
	vocabulary = append([]string{"authcore"}, primitives...)
	product    = slices.Concat(vocabulary, adapters, []string{"authcore/web", "store", "caddymodule", "."})
)

// arrows tells for each room which other rooms its code may import; its test
// files may import more. A folder outside of all rooms is an error: it needs a
// line here, and the design a reason.
var arrows = func() map[string][]string {
	rooms := map[string][]string{
		".":                 {"caddymodule"},
		"cmd":               product,
		"caddymodule":       slices.Concat(vocabulary, adapters, []string{"authcore/web", "store"}),
		"authcore":          primitives,
		"authcore/web":      slices.Concat(vocabulary, adapters),
		"authcore/authtest": vocabulary,
		"store":             vocabulary,
		"store/storetest":   append([]string{"store", "authcore/authtest"}, vocabulary...),
		"integration":       append([]string{"cmd", "authcore/authtest", "store/storetest"}, product...),
	}
	for _, room := range primitives {
		rooms[room] = nil
	}
	for _, room := range adapters {
		rooms[room] = vocabulary
	}
	return rooms
}()

// outside names what only some rooms may know of the world: import paths that
// start so, and the rooms.
var outside = []struct {
	what  string
	paths []string
	rooms []string
}{{
	what:  "Caddy",
	paths: []string{"github.com/caddyserver/"},
	rooms: []string{".", "cmd", "caddymodule", "integration"},
}, {
	what:  "Prometheus",
	paths: []string{"github.com/prometheus/"},
	rooms: []string{"caddymodule", "integration"},
}, {
	what:  "SQL",
	paths: []string{"database/sql", "modernc.org/sqlite", "github.com/pressly/goose/", "github.com/jackc/pgx/", "github.com/go-sql-driver/"},
	rooms: []string{"store", "store/storetest", "integration"},
}, {
	what:  "HTTP",
	paths: []string{"net/http"},
	rooms: []string{
		"cmd", "caddymodule", "integration", "authcore/web", "authcore/authtest",
		"authcore/connect", "authcore/passkey", "authcore/oidcop", "authcore/webhook",
	},
}}

// clockRooms may read the wall clock. Everywhere else the time is given, as a
// `now func() time.Time`, so that tests can tell it.
var clockRooms = []string{"cmd", "caddymodule", "integration", "authcore/authtest", "store/storetest"}

// TestImportsPointOneWay holds the arrows of the design.
func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	for _, source := range houseSources(t) {
		for _, spec := range source.tree.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if complaint := wrongImport(source.folder, imported); complaint != "" {
				t.Errorf("%s: %s", source.at(spec.Pos()), complaint)
			}
		}
	}
}

// TestTimeIsGiven finds code that asks the wall clock itself.
func TestTimeIsGiven(t *testing.T) {
	t.Parallel()
	for _, source := range houseSources(t) {
		if slices.Contains(clockRooms, roomOf(source.folder)) {
			continue
		}
		for _, pos := range clockReadings(source.tree) {
			t.Errorf("%s: reads the wall clock; take a now func() time.Time instead", source.at(pos))
		}
	}
}

// wrongImport says what is wrong when code in the folder imports the path; it is
// empty when nothing is.
func wrongImport(folder, imported string) string {
	from := roomOf(folder)
	if from == "" {
		return fmt.Sprintf("%s is in no room of the house: give it a line in arrows", folder)
	}
	for _, world := range outside {
		starts := func(prefix string) bool { return strings.HasPrefix(imported, prefix) }
		if slices.ContainsFunc(world.paths, starts) && !slices.Contains(world.rooms, from) {
			return fmt.Sprintf("%s imports %s: it must not know %s", folder, imported, world.what)
		}
	}
	ours, ok := houseFolder(imported)
	if !ok {
		return ""
	}
	to := roomOf(ours)
	if to == from || slices.Contains(arrows[from], to) {
		return ""
	}
	if len(arrows[from]) == 0 {
		return fmt.Sprintf("%s imports %s: it may import nothing of ours", folder, ours)
	}
	return fmt.Sprintf("%s imports %s: of ours it may import only %s", folder, ours, strings.Join(arrows[from], ", "))
}

// roomOf gives the room that a folder of the module belongs to, or "".
func roomOf(folder string) string {
	if folder == "." {
		return "."
	}
	for ; folder != "."; folder = path.Dir(folder) {
		if _, ok := arrows[folder]; ok {
			return folder
		}
	}
	return ""
}

// houseFolder gives the folder of one of our own packages.
func houseFolder(imported string) (folder string, ours bool) {
	if imported == houseModule {
		return ".", true
	}
	return strings.CutPrefix(imported, houseModule+"/")
}

// clockReadings finds the calls of time.Now, time.Since and time.Until, under
// whatever name the file imports time. To pass time.Now on as a value is no
// reading.
func clockReadings(file *ast.File) []token.Pos {
	var found []token.Pos
	name := ""
	for _, spec := range file.Imports {
		switch {
		case spec.Path.Value != `"time"`:
		case spec.Name == nil:
			name = "time"
		case spec.Name.Name == ".":
			found = append(found, spec.Pos()) // would hide every reading
		default:
			name = spec.Name.Name
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		selector, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"Now", "Since", "Until"}, selector.Sel.Name) {
			return true
		}
		// A name that the file declares itself, such as a variable called time,
		// has an object; a package's name has none.
		if x, ok := selector.X.(*ast.Ident); ok && x.Name == name && x.Obj == nil {
			found = append(found, call.Pos())
		}
		return true
	})
	return found
}

// houseSource is one Go file of the module that is no test.
type houseSource struct {
	folder string // in the module, with slashes
	tree   *ast.File
	files  *token.FileSet
}

func (s houseSource) at(pos token.Pos) string {
	p := s.files.Position(pos)
	return fmt.Sprintf("%s:%d", path.Join(s.folder, filepath.Base(p.Filename)), p.Line)
}

// houseSources parses every Go file of the module but its tests, for whichever
// system it is.
func houseSources(t *testing.T) []houseSource {
	t.Helper()
	root := ".." // a test runs in the folder of its package
	files := token.NewFileSet()
	var sources []houseSource
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != root {
			return skipFolder(name, entry.Name())
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		tree, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(name))
		sources = append(sources, houseSource{filepath.ToSlash(folder), tree, files})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) == 0 {
		t.Fatal("no Go files found in the module")
	}
	return sources
}

// skipFolder leaves out what is no package of this module: what the go command
// ignores, and modules of their own.
func skipFolder(name, base string) error {
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

func TestWrongImport(t *testing.T) {
	t.Parallel()
	const ours = houseModule + "/"
	tests := []struct {
		folder, imported string
		wrong            bool
	}{
		{".", ours + "caddymodule", false},
		{".", ours + "store", true},
		{"cmd/caddy", houseModule, false},
		{"authcore", ours + "authcore/password", false},
		{"authcore", ours + "authcore/audit", true},
		{"authcore", "database/sql", true},
		{"authcore", "net/http", true},
		{"authcore", "net/url", false},
		{"authcore/access", ours + "authcore", true},
		{"authcore/access/deep", ours + "authcore/access", false},
		{"authcore/limit", ours + "authcore/password", true},
		{"authcore/audit", ours + "authcore", false},
		{"authcore/audit", ours + "authcore/mail", true},
		{"authcore/web", ours + "authcore/oidcop", false},
		{"authcore/web", ours + "store", true},
		{"authcore/web", "github.com/caddyserver/caddy/v2", true},
		{"authcore/audit", "github.com/prometheus/client_golang/prometheus", true},
		{"caddymodule", "github.com/prometheus/client_golang/prometheus", false},
		{"authcore/authtest", ours + "authcore", false},
		{"authcore/new", ours + "authcore/limit", false},
		{"authcore/web", ours + "authcore/new", false}, // as good as authcore itself
		{"store", ours + "authcore", false},
		{"store", ours + "authcore/web", true},
		{"store/migrations", ours + "store", false},
		{"store", ours + "store/storetest", true},
		{"caddymodule", ours + "store", false},
		{"caddymodule", ours + "authcore/authtest", true},
		{"integration/bench", ours + "store", false},
		{"utils", "fmt", true},
	}
	for _, test := range tests {
		complaint := wrongImport(test.folder, test.imported)
		if (complaint != "") != test.wrong {
			t.Errorf("%s imports %s: complaint %q, want one: %v", test.folder, test.imported, complaint, test.wrong)
		}
	}
}

func TestClockReadings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		source string
		want   []int // lines
	}{
		"a call":              {"import \"time\"\nvar t = time.Now()", []int{3}},
		"a call in a chain":   {"import \"time\"\nvar t = time.Now().UTC().Unix()", []int{3}},
		"in parentheses":      {"import \"time\"\nvar t = (time.Now)()", []int{3}},
		"under another name":  {"import clock \"time\"\nvar t = clock.Now()", []int{3}},
		"since and until":     {"import \"time\"\nvar a, b = time.Since(x),\n\ttime.Until(x)", []int{3, 4}},
		"a dot import":        {"import . \"time\"\nvar t = Now()", []int{2}},
		"as a value":          {"import \"time\"\nvar now = time.Now", nil},
		"a given clock":       {"import \"time\"\nfunc f(now func() time.Time) { now() }", nil},
		"another package":     {"import time \"example.com/time\"\nvar t = time.Now()", nil},
		"a variable so named": {"import \"time\"\nvar _ time.Time\nfunc f(time clock) { time.Now() }", nil},
	}
	for name, test := range tests {
		files := token.NewFileSet()
		tree, err := parser.ParseFile(files, "a.go", "package a\n"+test.source, 0)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []int
		for _, pos := range clockReadings(tree) {
			got = append(got, files.Position(pos).Line)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: lines (-want +got):\n%s", name, diff)
		}
	}
}
