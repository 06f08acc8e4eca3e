package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/peerd/peerd/cmd/peerd/internal/localapi"
)

// note writes a line that was not asked for.
func (a *app) note(format string, args ...any) { fmt.Fprintf(a.Stderr, format+"\n", args...) }

// say writes a line that was asked for.
func (a *app) say(format string, args ...any) { fmt.Fprintf(a.Stdout, format+"\n", args...) }

// show prints v as JSON under --json, and else lets text print it.
func (a *app) show(v any, text func()) error {
	if !a.json {
		text()
		return nil
	}
	enc := json.NewEncoder(a.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// line prints v as one line of JSON, for streams.
func (a *app) line(v any) error { return json.NewEncoder(a.Stdout).Encode(v) }

// table prints rows of cells under headings, or a sentence when there are none.
func (a *app) table(none, headings string, rows [][]string) {
	if len(rows) == 0 {
		a.note("%s", none)
		return
	}
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(headings, " ", "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
}

// pairs prints names and values below each other.
func pairs(out io.Writer, rows ...[2]string) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(w, "%s:\t%s\n", row[0], row[1])
	}
	w.Flush()
}

// nameOf is what a person calls the other end of a call.
func nameOf(r localapi.Remote) string {
	name := r.Name
	if name == "" {
		name = "account " + short(r.Account)
	}
	name = printable(name)
	if r.Stranger {
		return name + " (a stranger)"
	}
	return name
}

// printable takes from a text of somebody else's what could play tricks with a
// terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

// plain writes a word of the local API, "no_answer", as people do.
func plain(word string) string { return strings.ReplaceAll(word, "_", " ") }

// short is enough of an id to be unique among a person's.
func short(id string) string {
	const enough = 8
	if len(id) > enough {
		return id[:enough]
	}
	return id
}

// ms prints a measured time, or that there is none.
func ms(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f ms", *v)
}

// ago prints how long ago something was.
func ago(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return time.Since(*t).Round(time.Second).String() + " ago"
}

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func seconds(s float64) string { return fmt.Sprintf("%.1f s", s) }
