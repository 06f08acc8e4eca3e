package peerd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/peerd/peerd/signaling"
)

// TestLinksInDocs follows every relative link of the README and of docs: the
// file must be there, and the heading too where one is named.
func TestLinksInDocs(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^()\s]+)\)`)
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(withoutCode(read(t, page)), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, heading, _ := strings.Cut(m[1], "#")
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
				continue
			}
			if heading != "" && !slices.Contains(headings(read(t, target)), heading) {
				t.Errorf("%s links to %s: there is no such heading", page, m[1])
			}
		}
	}
}

// TestProtocolsAreWritten asks docs/protocol.md for every protocol id and every
// end reason that the code has.
func TestProtocolsAreWritten(t *testing.T) {
	t.Parallel()
	text := read(t, "docs/protocol.md")
	ids := protocolIDs(t)
	if len(ids) < 5 {
		t.Errorf("found the protocol ids %q only: mend this test", ids)
	}
	for _, id := range ids {
		if !strings.Contains(text, "`"+id+"`") {
			t.Errorf("docs/protocol.md does not tell what %s is", id)
		}
	}
	for _, reason := range signaling.Reasons() {
		if !strings.Contains(text, "`"+string(reason)+"`") {
			t.Errorf("docs/protocol.md does not list the end reason %s", reason)
		}
	}
}

// protocolIDs are the string literals of the code, tests aside, that name a
// protocol of ours.
func protocolIDs(t *testing.T) []string {
	t.Helper()
	id := regexp.MustCompile(`^/peerd/[a-z]+/[0-9.]+$`)
	var ids []string
	for _, path := range sources(t) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && id.MatchString(s) && !slices.Contains(ids, s) {
					ids = append(ids, s)
				}
			}
			return true
		})
	}
	return ids
}

func sources(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, root := range []string{"audio", "cmd", "media", "node", "signaling"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

func pages(t *testing.T) []string {
	t.Helper()
	paths := []string{"README.md"}
	err := filepath.WalkDir("docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withoutCode drops indented blocks and what stands in backquotes.
func withoutCode(text string) string {
	text = regexp.MustCompile(`(?m)^    .*$`).ReplaceAllString(text, "")
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllString(text, "")
}

// headings are the anchors of a page as its renderer makes them: lower case,
// punctuation dropped, spaces turned into hyphens.
func headings(text string) []string {
	var anchors []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		plain := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		anchors = append(anchors, strings.ReplaceAll(plain, " ", "-"))
	}
	return anchors
}
