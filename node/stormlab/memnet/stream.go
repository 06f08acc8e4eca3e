package memnet

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// stream is one end of a stream.
type stream struct {
	conn    *conn
	in, out *pipe
}

var _ network.MuxedStream = (*stream)(nil)

func (s *stream) Read(b []byte) (int, error) { return s.in.read(b) }

func (s *stream) Write(b []byte) (int, error) { return s.out.write(b) }

// Close closes both directions; what was written still arrives.
func (s *stream) Close() error {
	s.in.cancelRead(0)
	s.conn.remove(s)
	return s.out.finish()
}

func (s *stream) CloseWrite() error { return s.out.finish() }

func (s *stream) CloseRead() error {
	s.in.cancelRead(0)
	return nil
}

func (s *stream) Reset() error { return s.ResetWithError(0) }

// ResetWithError ends both directions at once.
func (s *stream) ResetWithError(code network.StreamErrorCode) error {
	s.in.cancelRead(code)
	s.out.cancelWrite(code)
	s.conn.remove(s)
	return nil
}

func (s *stream) SetDeadline(t time.Time) error {
	_ = s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

func (s *stream) SetReadDeadline(t time.Time) error {
	s.in.setReadDeadline(t)
	return nil
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	s.out.setWriteDeadline(t)
	return nil
}
