package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

// block is a fenced block of a document.
type block struct {
	file       string
	line       int
	kind, text string
}

func (b block) name() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// documents gives the blocks of README and docs, in the order in which a reader
// meets them.
func documents(t *testing.T) []block {
	t.Helper()
	files := []string{"../README.md", "../CONTRIBUTING.md", "../docs/guide.md"}
	more, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	providers, err := filepath.Glob("../docs/providers/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(more, providers...) {
		if f != "../docs/guide.md" {
			files = append(files, f)
		}
	}
	var all []block
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range fence.FindAllSubmatchIndex(body, -1) {
			all = append(all, block{file: strings.TrimPrefix(f, "../"), line: 1 + strings.Count(string(body[:at[0]]), "\n"),
				kind: string(body[at[2]:at[3]]), text: string(body[at[4]:at[5]])})
		}
	}
	return all
}

// TestCaddyfilesInDocuments adapts, validates and formats every Caddyfile that a
// reader can paste.
func TestCaddyfilesInDocuments(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	blocks := append(documents(t), block{file: "Caddyfile.example", line: 1, kind: "caddyfile", text: string(example)})
	files, err := filepath.Glob("../docs/forward-auth/*Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, block{file: strings.TrimPrefix(f, "../"), line: 1, kind: "caddyfile", text: string(text)})
	}
	secrets := secretFiles(t)
	tried := 0
	for _, b := range blocks {
		if b.kind != "caddyfile" {
			continue
		}
		tried++
		t.Run(b.name(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, secret := range secrets {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			text := strings.ReplaceAll(b.text, "/run/secrets", dir)
			file := filepath.Join(dir, "Caddyfile")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"adapt", "--validate"}, {"validate"}} {
				if out, err := caddyIn(t, dir, append(args, "--config", file)...); err != nil {
					t.Errorf("caddy %s: %v\n%s", strings.Join(args, " "), err, out)
				}
			}
			if out, err := caddyIn(t, dir, "fmt", "--diff", file); err != nil || strings.Contains("\n"+out, "\n+") || strings.Contains("\n"+out, "\n-") {
				t.Errorf("caddy fmt --diff: %v\n%s", err, out)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "**", "*.db*")); len(left) > 0 {
				t.Errorf("validation left files behind: %v", left)
			}
		})
	}
	if tried < 10 {
		t.Errorf("only %d Caddyfiles were found: is the pattern for them still right?", tried)
	}
}

// secretFiles are the secrets that documents read from files, which have to be there.
func secretFiles(t *testing.T) map[string]string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"gate.key":    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		"gate.dsn":    "postgres://gatehouse:choose-one@db.example.com:5432/gatehouse?sslmode=verify-full\n",
		"gate.mysql":  "mysql://gatehouse:choose-one@db.example.com:3306/gatehouse\n",
		"smtp.secret": "choose-one\n",
		"apple.p8":    string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}
	for _, client := range []string{"google", "microsoft", "github", "gitlab", "discord", "corp", "forge"} {
		files[client+".secret"] = "choose-one\n"
	}
	return files
}

func caddyIn(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	bin, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestCommandsInDocuments runs the commands of the documents one after another,
// as a reader would: those that build in the repository, the rest in a folder with
// a Caddyfile.
func TestCommandsInDocuments(t *testing.T) {
	t.Parallel()
	bin, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Caddyfile":    "{\n\tadmin off\n\tgate {\n\t\tdatabase sqlite gate.db\n\t\tregister invite\n\t}\n}\n",
		"password.txt": "a long password for the documents\n",
		"gate.dsn":     urlOf(t, dbserver.PostgreSQL),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "path")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(bin, filepath.Join(path, "caddy")); err != nil {
		t.Fatal(err)
	}
	repo, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, b := range documents(t) {
		if b.kind != "sh" {
			continue
		}
		for line := range strings.Lines(b.text) {
			ran++
			line = strings.ReplaceAll(line, "/run/secrets", dir)
			cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", line)
			cmd.Dir = dir
			if strings.HasPrefix(line, "./xcaddy.sh") || strings.HasPrefix(line, "bin/") {
				cmd.Dir = repo
			}
			cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "PATH="+path+":"+os.Getenv("PATH"),
				"GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %s%v\n%s", b.name(), line, err, out)
			}
		}
	}
	if ran < 10 {
		t.Errorf("only %d commands were found: is the pattern for them still right?", ran)
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// quicker are flags that do no more than to make the tests quicker.
var quicker = regexp.MustCompile(`-gcflags='[^']*'`)

// TestMakeTargetsInReadme holds the table of README to what make does.
func TestMakeTargetsInReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `make ([a-z]+)` \\| `(.*)` \\|$").FindAllStringSubmatch(string(readme), -1)
	if len(rows) < 2 {
		t.Fatal("README has no table of make targets")
	}
	for _, row := range rows {
		out, err := exec.CommandContext(t.Context(), "make", "-C", "..", "--no-print-directory", "-n", row[1]).CombinedOutput()
		if err != nil {
			t.Errorf("make %s: %v\n%s", row[1], err, out)
		}
		for command := range strings.SplitSeq(row[2], " && ") {
			said := strings.Join(strings.Fields(quicker.ReplaceAllString(string(out), "")), " ")
			if !strings.Contains(said, command) {
				t.Errorf("README says that make %s runs %q, but it runs:\n%s", row[1], command, out)
			}
		}
	}
}

// TestLinksInDocuments finds links to files that are not there.
func TestLinksInDocuments(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"adr", "providers"} {
		more, err := filepath.Glob("../docs/" + folder + "/*.md")
		if err != nil || len(more) == 0 {
			t.Errorf("docs/%s has no documents (%v)", folder, err)
		}
		files = append(files, more...)
	}
	for _, f := range append(files, "../README.md", "../CONTRIBUTING.md", "../SECURITY.md", "../CHANGELOG.md") {
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)[^):]*\)`).FindAllStringSubmatch(string(body), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(f), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", f, m[1], err)
			}
		}
	}
}

// TestEveryProviderIsDocumented wants a page with a Caddyfile for each kind of provider,
// and in the overview each word that one can have. What there is, Caddy says itself.
func TestEveryProviderIsDocumented(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// refused gives the words that an error names, which a configuration has to lead to.
	refused := func(file, text, pattern string) []string {
		t.Helper()
		file = filepath.Join(dir, file)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := caddyIn(t, dir, "validate", "--config", file)
		names := regexp.MustCompile(pattern + `(\w+(?:, \w+)*?)(?:, at |"|\n)`).FindStringSubmatch(out)
		if err == nil || names == nil {
			t.Fatalf("caddy validate names nothing known (%v):\n%s", err, out)
		}
		return strings.Split(names[1], ", ")
	}
	overview, err := os.ReadFile("../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := refused("kind.json", `{"apps": {"gate": {"providers": [{"kind": "nothing", "name": "nothing", "client_id": "nothing"}]}}}`,
		`unknown kind of provider .*; known: `)
	if len(kinds) < 8 {
		t.Errorf("only %q are known as kinds: is the pattern for them still right?", kinds)
	}
	for _, kind := range kinds {
		page := "docs/providers/" + kind + ".md"
		shown := regexp.MustCompile(`(?m)^\t\t` + kind + ` .*\{$`)
		var line string
		for _, b := range documents(t) {
			if b.file == page && b.kind == "caddyfile" && line == "" {
				line = strings.TrimSpace(shown.FindString(b.text))
			}
		}
		if line == "" {
			t.Errorf("%s has no Caddyfile with a provider of kind %s", page, kind)
			continue
		}
		if !strings.Contains(string(overview), "](providers/"+kind+".md)") {
			t.Errorf("docs/providers.md does not lead to %s", page)
		}
		for _, word := range refused(kind+".Caddyfile", "{\n\tgate {\n\t\t"+line+"\n\t\t\tnothing\n\t\t}\n\t}\n}\n", `unknown word .*; known here: `) {
			if !regexp.MustCompile(`(?m)^\| .*` + "`" + word + "[` ]").Match(overview) {
				t.Errorf("the tables of docs/providers.md have no word %s, which %s can have", word, kind)
			}
		}
	}
}
