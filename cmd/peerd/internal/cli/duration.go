package cli

import (
	"strconv"
	"time"
)

// duration is a flag's value: a time with its unit, not negative.
type duration struct{ to *time.Duration }

// Set implements pflag.Value.
func (d *duration) Set(text string) error {
	v, err := time.ParseDuration(text)
	_, notNumber := strconv.ParseFloat(text, 64)
	switch {
	case err != nil && notNumber == nil:
		return errorf("it has no unit: write %ss for seconds", text)
	case err != nil:
		return errorf("it is no time: write for instance 10s or 2m")
	case v < 0:
		return errorf("it must not be negative")
	}
	*d.to = v
	return nil
}

// String implements pflag.Value; nothing is the default that help leaves out.
func (d *duration) String() string {
	if d.to == nil || *d.to == 0 {
		return ""
	}
	return d.to.String()
}

// Type implements pflag.Value.
func (d *duration) Type() string { return "duration" }
