package wire

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The golden files pin the bytes of the protocol, so that a change of them is
// seen, and meant. They are written by
//
//	go test ./wire -run Golden -update
//
// Each message of session mode is there twice: the bytes as they travel, and a
// dump for reading. What the reference protocol fixes is in lists of a name, a
// tab and the bytes; the names are those of the vectors of the reference client,
// to which the lists are compared where these are at hand.
var update = flag.Bool("update", false, "write the golden files anew")

const goldenDir = "testdata/golden"

// goldenFile compares bytes with a file, or writes it. Line ends do not count.
func goldenFile(t *testing.T, name string, got []byte, text bool) {
	t.Helper()
	path := filepath.Join(goldenDir, name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text {
		want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s has changed (-update writes it anew):\ngot\n%s\nwant\n%s", name, hex.Dump(got), hex.Dump(want))
	}
}

// emptySamples are the messages of session mode without payload.
func emptySamples() map[string]Type {
	return map[string]Type{"Ping": TypePing, "Heartbeat": TypeHeartbeat, "Reset": TypeReset, "Terminate": TypeTerminate}
}

// goldenFrames are the frames of session mode, by file name without extension.
func goldenFrames() map[string][]byte {
	frames := map[string][]byte{}
	for _, s := range samples() {
		frames[s.name] = s.frameOf()
	}
	delete(frames, "Topology") // a field: it is within others
	for name, kind := range emptySamples() {
		s := sample{kind: kind, full: emptyPayload{}}
		frames[name] = s.frameOf()
	}
	return frames
}

type emptyPayload struct{}

func (emptyPayload) AppendTo(dst []byte) []byte { return dst }
func (emptyPayload) Decode([]byte) error        { return nil }

func TestGoldenFramesOfSessionMode(t *testing.T) {
	for name, frame := range goldenFrames() {
		goldenFile(t, "session/"+name+".raw", frame, false)
		goldenFile(t, "session/"+name+".hex", []byte(hex.Dump(frame)), true)
	}
}

func TestGoldenFramesDecodeToTheirMessages(t *testing.T) {
	eachSample(t, func(t *testing.T, s sample) {
		if s.name == "Topology" {
			t.Skip("a field: it is within others")
		}
		b, err := os.ReadFile(filepath.Join(goldenDir, "session", s.name+".raw"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := DecodeFrame(b, 0)
		if err != nil {
			t.Fatal(err)
		}
		if m.Type != s.kind || m.Sequence != 7 || m.Recipient != 1 || m.Timestamp != 1704067200123 {
			t.Errorf("envelope %+v", m.Envelope)
		}
		got := s.fresh()
		if err := got.Decode(m.Payload); err != nil {
			t.Fatal(err)
		}
		if d := difference(s.full, got); d != "" {
			t.Errorf("decoded differs (-want +got):\n%s", d)
		}
	})
}

// A compressed frame of ours is pinned for decoding alone: how well a message is
// compressed may change with the library.
func TestGoldenCompressedFrameDecodes(t *testing.T) {
	want := Message{Envelope{1, 2, 3, 4, TypeData}, bytes.Repeat([]byte("compressible "), 100)}
	if *update {
		data, ok := appendLZ4(nil, AppendMessage(nil, want))
		if !ok {
			t.Fatal("not compressed")
		}
		frame := append([]byte{0, 0, 0, byte(len(data) + flagSize), flagLZ4}, data...)
		goldenFile(t, "session/compressed.raw", frame, false)
		goldenFile(t, "session/compressed.hex", []byte(hex.Dump(frame)), true)
	}
	b, err := os.ReadFile(filepath.Join(goldenDir, "session/compressed.raw"))
	if err != nil {
		t.Fatal(err)
	}
	goldenFile(t, "session/compressed.hex", []byte(hex.Dump(b)), true)
	got, err := DecodeFrame(b, 0)
	if err != nil || difference(want, got) != "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// namedBytes is a line of a list.
type namedBytes struct {
	name string
	b    []byte
}

func TestGoldenListsOfTheReferenceProtocol(t *testing.T) {
	for file, list := range map[string][]namedBytes{
		"reference_frames.txt": referenceFrames(),
		"reference_values.txt": referenceValues(t),
	} {
		var text strings.Builder
		for _, n := range list {
			fmt.Fprintf(&text, "%s\t%x\n", n.name, n.b)
		}
		goldenFile(t, file, []byte(text.String()), true)
	}
}

func TestGoldenListsEqualTheVectorsOfTheReferenceClient(t *testing.T) {
	vectors := map[string]string{}
	for _, v := range readVectors(t) {
		vectors[v.Name] = v.Hex
	}
	list := append(referenceFrames(), referenceValues(t)...)
	for _, n := range list {
		if want, ok := vectors[n.name]; !ok {
			t.Errorf("there is no vector %q", n.name)
		} else if got := hex.EncodeToString(n.b); got != want {
			t.Errorf("%s: got %s, want %s", n.name, got, want)
		}
	}
	if len(list) < 139 {
		t.Errorf("only %d facts of the reference protocol are pinned", len(list))
	}
}

func TestGoldenListsDecode(t *testing.T) {
	for _, n := range referenceFrames() {
		if m, err := DecodeFrame(n.b, 0); err != nil || !bytes.Equal(plainFrame(m), n.b) {
			t.Errorf("%s: %+v, %v", n.name, m, err)
		}
	}
	for _, n := range referenceValues(t) {
		if strings.HasPrefix(n.name, "row.") {
			row, err := ParseReferenceRow(n.b)
			again, err2 := AppendReferenceRow(nil, row)
			if err != nil || err2 != nil || !bytes.Equal(again, n.b) {
				t.Errorf("%s: %v, %v, %v", n.name, row, err, err2)
			}
			continue
		}
		v, err := ParseReferenceValue(n.b)
		again, err2 := v.AppendReference(nil)
		if err != nil || err2 != nil || !bytes.Equal(again, n.b) {
			t.Errorf("%s: %v, %v, %v", n.name, v, err, err2)
		}
	}
}

func TestNoGoldenFileIsLeftOver(t *testing.T) {
	known := map[string]bool{".gitattributes": true, "reference_frames.txt": true, "reference_values.txt": true,
		"session/compressed.raw": true, "session/compressed.hex": true}
	for name := range goldenFrames() {
		known["session/"+name+".raw"], known["session/"+name+".hex"] = true, true
	}
	err := filepath.WalkDir(goldenDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(goldenDir, path)
		if !known[filepath.ToSlash(name)] {
			t.Errorf("%s belongs to no test", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
