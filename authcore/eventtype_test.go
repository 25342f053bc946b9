package authcore

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
)

// The catalogue holds every action of the code.
func TestActions(t *testing.T) {
	t.Parallel()
	tree, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []Action
	ast.Inspect(tree, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if kind, ok := v.Type.(*ast.Ident); ok && kind.Name == "Action" {
				text, _ := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				found = append(found, Action(text))
			}
		}
		return true
	})
	if len(found) < 50 || !slices.Equal(found, Actions) {
		t.Errorf("Actions is not what event.go has:\n%v\n%v", Actions, found)
	}
}

func TestEventTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		words []string
		want  string // empty: refused
	}{
		{[]string{"*"}, "*"}, {[]string{"member.*", " user.login", "member.*"}, "member.* user.login"},
		{nil, ""}, {[]string{""}, ""}, {[]string{"member"}, ""}, {[]string{"mem*"}, ""}, {[]string{"nobody.*"}, ""}, {[]string{"user.nothing"}, ""},
		{[]string{".*"}, ""}, {[]string{"**"}, ""}, {[]string{"user.log*"}, ""},
	} {
		got, err := ParseEventTypes(c.words)
		if got.String() != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q, %v", c.words, got, err)
		}
	}
	types := EventTypes{"member.*", "user.login"}
	for a, want := range map[Action]bool{MemberSet: true, MemberRemove: true, UserLogin: true, UserLogout: false} {
		if types.Want(a) != want {
			t.Errorf("%s: %v", a, !want)
		}
	}
}

func FuzzEventTypes(f *testing.F) {
	f.Add("member.*")
	f.Fuzz(func(t *testing.T, word string) {
		types, err := ParseEventTypes([]string{word})
		if err == nil && !slices.ContainsFunc(Actions, types.Want) {
			t.Errorf("%q chooses nothing", word)
		}
	})
}
