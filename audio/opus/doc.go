// Package opus encodes and decodes Opus with libopus (RFC 6716, RFC 7587),
// 48 kHz mono. It binds the dozen functions it needs itself, so that an
// ordinary "go build" with libopus-dev (pkg-config opus) is enough. Without cgo
// the package is empty; package pureopus decodes then.
package opus
