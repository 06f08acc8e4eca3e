package memnet

import "time"

// Measured are the costs that this package's benchmarks found on the machine of
// docs/storm.md. With them the model of stock's log-in, 20 nodes that all serve, comes
// to 86 ms of processor time; on real sockets it takes 89 (stormlab.BenchmarkStock).
func Measured() Costs {
	return Costs{
		Dial:     900 * time.Microsecond,
		Accept:   900 * time.Microsecond,
		Refuse:   280 * time.Microsecond,
		Refused:  280 * time.Microsecond,
		Message:  30 * time.Microsecond,
		Datagram: 6 * time.Microsecond,
		Record:   200 * time.Microsecond,
	}
}
