package relay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"
)

func frame(body string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(body))), body...)
}

// halves is a stream whose input is given and whose output is kept.
type halves struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (h *halves) Read(b []byte) (int, error)  { return h.in.Read(b) }
func (h *halves) Write(b []byte) (int, error) { return h.out.Write(b) }

func TestServeRefusesInWords(t *testing.T) {
	s, clk := newTestServer(t, Limits{})
	tests := []struct {
		name, body string
		want       error
		words      string
	}{
		{"newer version", `{"v":2}`, ErrNewerVersion, "version 2"},
		{"no version", `{}`, ErrBadMessage, "no version"},
		{"garbage", "\x00\x01\x02", ErrBadMessage, "not a relay message"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &halves{in: bytes.NewReader(frame(tt.body))}
			if err := s.Serve(h, "alice"); !errors.Is(err, tt.want) {
				t.Errorf("Serve: %v, want %v", err, tt.want)
			}
			body, err := readMessage(&h.out)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = parseGrant(body, loopback, clk.Now()); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("the client reads %v, want a refusal with %q", err, tt.words)
			}
		})
	}
}

func TestOversizedMessageIsNotRead(t *testing.T) {
	s, _ := newTestServer(t, Limits{})
	h := &halves{in: bytes.NewReader(frame(strings.Repeat(" ", maxMessage+1)))}
	if err := s.Serve(h, "alice"); !errors.Is(err, ErrBadMessage) {
		t.Errorf("Serve: %v, want ErrBadMessage", err)
	}
	if left := h.in.Len(); left != maxMessage+1 {
		t.Errorf("read %d bytes of the body", maxMessage+1-left)
	}
}

func TestAStreamWithoutAClientIsRefused(t *testing.T) {
	s, clk := newTestServer(t, Limits{})
	for _, client := range []string{"", strings.Repeat("x", maxClient+1)} {
		if _, err := ask(t, s, clk, client); !errors.Is(err, ErrRefused) {
			t.Errorf("client of %d bytes: %v", len(client), err)
		}
	}
}

func TestParseGrantRefusesWhatCannotBeUsed(t *testing.T) {
	for _, body := range []string{
		`{"v":1}`,
		`{"v":1,"port":70000,"username":"u","password":"p","ttl_s":600}`,
		`{"v":1,"port":3478,"username":"u","password":"p"}`,
		`{"v":1,"port":3478,"username":"u","password":"p","ttl_s":9223372036854775807}`,
		`{"v":1,"port":3478,"username":"u\n","password":"p","ttl_s":600}`,
		`{"v":1,"port":3478,"username":"u","password":"","ttl_s":600}`,
	} {
		if g, err := parseGrant([]byte(body), loopback, time.Unix(0, 0)); !errors.Is(err, ErrBadMessage) {
			t.Errorf("%s: %+v, %v", body, g, err)
		}
	}
	if _, err := parseGrant([]byte(`{"v":9}`), loopback, time.Unix(0, 0)); !errors.Is(err, ErrNewerVersion) {
		t.Errorf("version 9: %v", err)
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	body := `{"v":1,"port":3478,"username":"u","password":"p","ttl_s":600,"weather":"fine"}`
	if _, err := parseGrant([]byte(body), loopback, time.Unix(0, 0)); err != nil {
		t.Error(err)
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{"v":1}`))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`{"v":-1,"x":[1,{"y":null}]}`))
	f.Add([]byte("\xff\xfe"))
	f.Fuzz(func(t *testing.T, body []byte) {
		err := parseRequest(body)
		if err != nil && !errors.Is(err, ErrBadMessage) && !errors.Is(err, ErrNewerVersion) {
			t.Errorf("an error without a name: %v", err)
		}
	})
}

func FuzzParseGrant(f *testing.F) {
	f.Add([]byte(`{"v":1,"port":3478,"username":"1800000000:12D3KooW","password":"abc","ttl_s":600}`))
	f.Add([]byte(`{"v":1,"error":"no room"}`))
	f.Add([]byte(`{"v":1,"ttl_s":1e99}`))
	f.Add([]byte(`[`))
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, body []byte) {
		g, err := parseGrant(body, loopback, now)
		if err != nil {
			if len(err.Error()) > 8*maxText {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if !g.Expires.After(now) || g.Expires.Sub(now) > maxTTL || !plain(g.Username) || !plain(g.Password) {
			t.Errorf("a grant that cannot be used: %+v", g)
		}
	})
}
