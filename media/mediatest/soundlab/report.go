package soundlab

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Head is the table's first two lines.
func Head() string {
	return "| network | kbit/s | on the wire | lost | concealed | delay | 95 % | playout | target |\n" +
		"|---|---|---|---|---|---|---|---|---|\n"
}

// Row is the result's line in the table: rates in kbit/s, delays in ms.
func (r *Result) Row() string {
	var held, target float64
	for _, s := range r.Samples {
		held, target = held+s.DelayMS, target+s.TargetMS
	}
	n := float64(max(1, len(r.Samples)))
	return fmt.Sprintf("| %s | %.1f | %.1f | %.1f %% | %.2f %% | %.0f | %.0f | %.0f | %.0f |\n", r.Profile,
		r.PayloadKbits, r.WireKbits, 100*r.LostShare, 100*r.Concealed, r.DelayMS, r.LateMS, held/n, target/n)
}

// saveCSV writes the samples.
func (r *Result) saveCSV(dir, name string) error {
	var b strings.Builder
	w := csv.NewWriter(&b)
	err := w.Write([]string{
		"s", "playout_ms", "target_ms", "sent", "got", "concealed_samples", "played_samples",
		"late", "recovered", "accelerated_samples", "decelerated_samples", "depth", "bitrate",
	})
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	for _, s := range r.Samples {
		line := []string{number(s.At.Seconds()), number(s.DelayMS), number(s.TargetMS), number(s.Sent), number(s.Got), number(s.Concealed), number(s.Frames)}
		for _, v := range []uint64{s.Late, s.Recovered, s.Faster, s.Slow, uint64(s.Depth), uint64(s.Bitrate)} {
			line = append(line, strconv.FormatUint(v, 10))
		}
		err = errors.Join(err, w.Write(line))
	}
	w.Flush()
	return errors.Join(err, w.Error(), os.WriteFile(filepath.Join(dir, name), []byte(b.String()), 0o644))
}
