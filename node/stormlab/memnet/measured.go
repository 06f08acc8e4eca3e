package memnet

import "time"

// Measured are the costs that this package's benchmarks found on one core of the
// machine of docs/storm.md.
func Measured() Costs {
	return Costs{
		Dial:     1500 * time.Microsecond,
		Accept:   1500 * time.Microsecond,
		Refuse:   200 * time.Microsecond,
		Refused:  200 * time.Microsecond,
		Message:  60 * time.Microsecond,
		Datagram: 8 * time.Microsecond,
	}
}
