package memnet

import "time"

// Costs is the processor time of the work of one end. The figures are measured on
// real hosts by this package's benchmarks, which print them in this form.
type Costs struct {
	// Dial and Accept are the two ends of a QUIC handshake, identify not included.
	Dial   time.Duration `json:"dial"`
	Accept time.Duration `json:"accept"`
	// Refuse is reading a first packet and refusing it in the resource manager; an
	// accepted connection pays it as a part of Accept.
	Refuse time.Duration `json:"refuse"`
	// Refused is dialling somebody who refuses.
	Refused time.Duration `json:"refused"`
	// Message is sending or receiving one message on a stream, with all that the
	// program does because of it.
	Message time.Duration `json:"message"`
	// Datagram is sending or receiving one datagram beside the connections.
	Datagram time.Duration `json:"datagram"`
	// Record is checking the signature of a record and storing it, for programs that do so
	// beside what the network sees: see Host.Record.
	Record time.Duration `json:"record"`
}

// Machine is what sets one host apart from another.
type Machine struct {
	// Connection is what every connection accepted costs on top: a weak machine.
	Connection time.Duration
	// Load is the share of the processor, below 1, that other work of the machine
	// takes, such as calls in progress.
	Load float64
	// Slow is how much longer all work takes than on most machines; 0 is no longer.
	Slow float64
}
