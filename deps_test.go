// Package peerd_test holds the tests of the tree as a whole: the arrows
// between the rooms, and that every package says what it is.
package peerd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/peerd/peerd/"

// A room may import the rooms and the outside libraries listed for it, and
// nothing else beside the standard library. Tests may import more. A library
// stands for everything below its path; "C" is cgo.
type room struct{ rooms, libraries []string }

var (
	libp2p = []string{"github.com/libp2p/", "github.com/multiformats/"}
	pion   = []string{"github.com/pion/"}
)

var rooms = map[string]room{
	"audio":             {},
	"audio/analysis":    {rooms: []string{"audio"}},
	"audio/clockcard":   {rooms: []string{"audio"}},
	"audio/null":        {rooms: []string{"audio", "audio/clockcard"}},
	"audio/opus":        {rooms: []string{"audio"}, libraries: []string{"C"}},
	"audio/portaudio":   {rooms: []string{"audio"}, libraries: []string{"github.com/gordonklaus/portaudio", "golang.org/x/sys"}},
	"audio/pureopus":    {rooms: []string{"audio"}, libraries: []string{"github.com/pion/opus"}},
	"audio/tone":        {rooms: []string{"audio", "audio/clockcard"}},
	"audio/wavfile":     {rooms: []string{"audio", "audio/clockcard"}},
	"signaling":         {},
	"media":             {rooms: []string{"audio", "media/playout"}, libraries: pion},
	"media/playout":     {rooms: []string{"audio"}},
	"node/identity":     {libraries: append([]string{"filippo.io/age", "golang.org/x/crypto"}, libp2p...)},
	"node/presence":     {rooms: []string{"node/identity"}, libraries: append([]string{"golang.org/x/crypto"}, libp2p...)},
	"node/storm":        {},
	"node/storm/trace":  {rooms: []string{"node/storm"}},
	"node/relay":        {libraries: pion},
	"node/overlay":      {rooms: []string{"node/identity", "node/overlay/gate", "node/presence", "node/relay", "node/storm", "node/storm/trace"}, libraries: append([]string{"github.com/ipfs/", "github.com/quic-go/quic-go"}, libp2p...)},
	"node/overlay/gate": {libraries: append([]string{"golang.org/x/net"}, libp2p...)},
	"node":              {rooms: []string{"node/identity", "node/overlay", "node/presence", "node/relay", "node/storm"}, libraries: libp2p},
	"cmd/peerd":         {rooms: []string{"audio", "audio/null", "audio/opus", "audio/portaudio", "audio/pureopus", "audio/tone", "audio/wavfile", "cmd/peerd/internal/cli", "cmd/peerd/internal/phone"}, libraries: []string{"C"}},
	"cmd/peerd/internal/phone": {
		rooms: []string{"audio", "cmd/peerd/internal/store", "media", "node", "node/identity", "node/relay", "signaling"},
	},
	"cmd/peerd/internal/store":    {rooms: []string{"node/identity"}, libraries: []string{"go.etcd.io/bbolt"}},
	"cmd/peerd/internal/config":   {libraries: []string{"golang.org/x/sys"}},
	"cmd/peerd/internal/localapi": {rooms: []string{"cmd/peerd/internal/phone", "node/identity"}},
	"cmd/peerd/internal/cli": {
		rooms:     []string{"cmd/peerd/internal/config", "cmd/peerd/internal/demo", "cmd/peerd/internal/localapi", "cmd/peerd/internal/phone", "cmd/peerd/internal/stormlab", "node", "node/identity", "node/storm", "node/storm/trace"},
		libraries: []string{"github.com/spf13/cobra", "github.com/mdp/qrterminal/v3", "golang.org/x/term"},
	},
	"cmd/peerd/internal/demo": {
		rooms:     []string{"audio", "audio/analysis", "audio/wavfile", "cmd/peerd/internal/chart", "cmd/peerd/internal/localapi"},
		libraries: []string{"gonum.org/v1/plot", "golang.org/x/sys"},
	},
	"cmd/peerd/internal/stormlab": {
		rooms:     []string{"cmd/peerd/internal/chart", "node/storm", "node/storm/trace"},
		libraries: []string{"gonum.org/v1/plot"},
	},
	"cmd/peerd/internal/chart": {libraries: []string{"gonum.org/v1/plot"}},
}

// helpers are packages that only tests and measurements import; they may
// import what they like, and no room may import them.
var helpers = []string{"cmd/peerd/internal/localapi/localapitest", "media/mediatest", "media/mediatest/", "node/nodetest", "node/stormlab", "node/stormlab/memnet", "signaling/signalingtest", "test/"}

// TestArrowsBetweenRooms holds every direct import of every room, under all
// build tags, against the table above.
func TestArrowsBetweenRooms(t *testing.T) {
	t.Parallel()
	tree := parseTree(t)
	for name := range rooms {
		if len(tree[name]) == 0 {
			t.Errorf("room %s is empty, moved or renamed: mend the table in deps_test.go", name)
		}
	}
	for name, files := range tree {
		if isHelper(name) {
			continue
		}
		r, listed := rooms[name]
		if !listed {
			t.Errorf("package %s is in no room: list it in deps_test.go with the arrows it may have", name)
			continue
		}
		for _, path := range imports(files) {
			if !allowed(r, path) {
				t.Errorf("%s imports %s: there is no such arrow", name, path)
			}
		}
	}
}

// TestEveryPackageSaysWhatItIs asks for one package comment in each package.
func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for name, files := range parseTree(t) {
		documented := slices.ContainsFunc(files, func(f *ast.File) bool {
			return f.Doc != nil && (strings.HasPrefix(f.Doc.Text(), "Package ") || strings.HasPrefix(f.Doc.Text(), "Peerd "))
		})
		if !documented {
			t.Errorf("package %s has no package comment", name)
		}
	}
}

func allowed(r room, path string) bool {
	if own, ok := strings.CutPrefix(path, module); ok {
		return slices.Contains(r.rooms, own)
	}
	for _, lib := range r.libraries {
		if path == strings.TrimSuffix(lib, "/") || strings.HasPrefix(path, strings.TrimSuffix(lib, "/")+"/") {
			return true
		}
	}
	first, _, _ := strings.Cut(path, "/")
	return path != "C" && !strings.Contains(first, ".") // the standard library
}

func isHelper(name string) bool {
	return slices.ContainsFunc(helpers, func(h string) bool {
		return name == h || strings.HasSuffix(h, "/") && strings.HasPrefix(name, h)
	})
}

func imports(files []*ast.File) []string {
	set := map[string]bool{}
	for _, f := range files {
		for _, spec := range f.Imports {
			set[strings.Trim(spec.Path.Value, `"`)] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// parseTree reads the imports and the package comments of all Go files but
// tests; the key is the directory below the root.
func parseTree(t *testing.T) map[string][]*ast.File {
	t.Helper()
	tree := map[string][]*ast.File{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		tree[dir] = append(tree[dir], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
