package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProgressIsShownOnTerminalsOnly(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := newProgress(file, "a.sql", 100)
	p.at(50)
	p.end()
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%d bytes of progress went to a file (%v), want none", info.Size(), err)
	}
	if p := newProgress(&strings.Builder{}, "a.sql", 100); p.bar != nil {
		t.Error("there is a bar on what is no file")
	}
}

func TestTheBarShowsHowMuchIsDoneAndGoesAway(t *testing.T) {
	var b strings.Builder
	p := progress{newBar(&b, filepath.Join("scripts", "a.sql"), 4000)}
	p.at(2000)
	if shown := b.String(); !strings.Contains(shown, "a.sql") || !strings.Contains(shown, " 50% ") {
		t.Errorf("the bar is %q, want a.sql and 50%%", shown)
	}
	p.end()
	if last := b.String()[strings.LastIndex(strings.TrimRight(b.String(), "\r"), "\r")+1:]; strings.TrimSpace(last) != "" {
		t.Errorf("%q is left of the bar", last)
	}
}
