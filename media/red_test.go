package media

import (
	"bytes"
	"testing"
)

func TestREDCarriesEarlierFrames(t *testing.T) {
	var b redBuilder
	frames := [][]byte{{1}, {2, 2}, {3, 3, 3}, {4}}
	for i, f := range frames {
		at := uint32(0xfffffc40) + uint32(i*960) // wraps around
		for depth := range 4 {
			out, ok := b.build(111, at, f, depth)
			want := min(depth, i, maxDepth)
			if ok != (want > 0) {
				t.Fatalf("frame %d, depth %d: ok is %v", i, depth, ok)
			}
			var blocks [maxBlocks]redBlock
			n, err := readRED(out, &blocks)
			if err != nil || n != want+1 {
				t.Fatalf("frame %d, depth %d: %d blocks, %v", i, depth, n, err)
			}
			for k := range n {
				back := n - 1 - k
				if got := blocks[k]; got.payloadType != 111 || got.offset != uint32(back*960) || !bytes.Equal(got.data, frames[i-back]) {
					t.Errorf("frame %d, depth %d, block %d: %+v", i, depth, k, got)
				}
			}
		}
		b.remember(at, f)
	}
	if got := b.again(111); !bytes.Equal(got, []byte{111, 4}) {
		t.Errorf("the last frame again: % x", got)
	}
}

func TestREDLeavesOutWhatDoesNotFit(t *testing.T) {
	var b redBuilder
	b.remember(0, make([]byte, maxBlock+1))
	if _, ok := b.build(111, 960, []byte{1}, 1); ok {
		t.Error("a frame of more than 1023 bytes was carried")
	}
	b.remember(960, make([]byte, 900))
	if _, ok := b.build(111, 1920, make([]byte, 900), 1); ok {
		t.Error("a payload of more than maxRedundant bytes")
	}
	if _, ok := b.build(111, 960+maxOffset+1, []byte{1}, 1); ok {
		t.Error("a frame from longer ago than the offset can tell was carried")
	}
}

func TestREDIsOnlyUsedForOpus(t *testing.T) {
	for fmtp, want := range map[string]bool{
		"111/111": true, "111": true, "111/111/111": true, "96/96": false, "111/0": false, "": false, "x": false, "111/": false,
	} {
		if redOf(fmtp, 111) != want {
			t.Errorf("%q: %v", fmtp, !want)
		}
	}
}

func FuzzReadRED(f *testing.F) {
	f.Add([]byte{111, 1, 2, 3})
	f.Add([]byte{0x80 | 111, 15, 0, 2, 111, 1, 2, 3, 4})
	f.Add([]byte{0x80 | 111, 30, 0, 1, 0x80 | 111, 15, 0, 2, 111, 9, 8, 8, 7})
	f.Add([]byte{0x80 | 111, 15, 3, 255, 111})
	f.Add(bytes.Repeat([]byte{0xff}, 80))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var blocks [maxBlocks]redBlock
		n, err := readRED(payload, &blocks)
		if err != nil {
			return
		}
		total := 1 + 4*(n-1)
		for _, b := range blocks[:n] {
			total += len(b.data)
		}
		if total != len(payload) || blocks[n-1].offset != 0 {
			t.Fatalf("%d bytes of %d in %d blocks", total, len(payload), n)
		}
	})
}
