//go:build cgo

package opus

import (
	"bytes"
	"encoding/binary"
	"flag"
	"os"
	"testing"

	"github.com/peerd/peerd/audio"
)

var update = flag.Bool("update", false, "rewrite the test data of package pureopus")

const shared = "../pureopus/testdata/speech.opus"

// TestDataOfPureOpusIsOurs keeps the packets that package pureopus is tested
// with decodable by libopus, and writes them with -update.
func TestDataOfPureOpusIsOurs(t *testing.T) {
	if *update {
		writeShared(t)
	}
	b, err := os.ReadFile(shared)
	if err != nil {
		t.Fatal(err)
	}
	_, d := pair(t)
	out := make([]int16, 5760)
	for n := 0; len(b) >= 2; n++ {
		size := int(binary.BigEndian.Uint16(b))
		if got, err := d.Decode(b[2:2+size], out); err != nil || got != audio.FrameSamples {
			t.Fatalf("packet %d: %d samples, %v", n, got, err)
		}
		b = b[2+size:]
	}
}

func writeShared(t *testing.T) {
	e, _ := pair(t)
	pcm, packet := make([]int16, audio.FrameSamples), make([]byte, audio.MaxPacket)
	var out bytes.Buffer
	for i := range 100 {
		voice(pcm, i*audio.FrameSamples)
		n, err := e.Encode(pcm, packet)
		if err != nil {
			t.Fatal(err)
		}
		_ = binary.Write(&out, binary.BigEndian, uint16(n))
		out.Write(packet[:n])
	}
	if err := os.WriteFile(shared, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
