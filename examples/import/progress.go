package main

import (
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how much of the script is done, where somebody can see it.
type progress struct {
	bar *progressbar.ProgressBar // nil: nothing is shown
}

// newProgress gives a bar if w is a terminal and the script's size is known; size
// is 0 otherwise.
func newProgress(w io.Writer, script string, size int64) *progress {
	file, ok := w.(*os.File)
	if !ok || size == 0 || !term.IsTerminal(int(file.Fd())) {
		return &progress{}
	}
	return &progress{bar: newBar(w, script, size)}
}

func newBar(w io.Writer, script string, size int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(filepath.Base(script)),
		progressbar.OptionShowBytes(true),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(65*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
}

// at moves the bar to that many bytes.
func (p *progress) at(offset int64) {
	if p.bar != nil {
		_ = p.bar.Set64(offset) // a bar that cannot be drawn is no reason to stop
	}
}

// end takes the bar off the screen, wherever it is.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
