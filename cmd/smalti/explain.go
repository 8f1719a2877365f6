package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/smalti/smalti/spec"
)

// release is the version of this source tree; pictures carry it, because bytes are promised within one version.
const release = "0.1.0"

func smaltiVersion(*debug.BuildInfo) string { return release }

// hinter is an error that knows what to try.
type hinter interface{ Hint() string }

// explain turns an error chain into what a user reads: one sentence and a hint.
func explain(err error) (what, hint string) {
	what = err.Error()
	var refusal *spec.Refusal
	var h hinter
	var path *fs.PathError
	switch {
	case errors.As(err, &refusal):
		hint = refusal.Hint
	case errors.As(err, &h):
		hint = h.Hint()
	case errors.Is(err, context.Canceled):
		what, hint = "stopped", "the state was saved where there was one: smalti continue RUN goes on"
	case errors.Is(err, syscall.ENOSPC):
		hint = "the disk is full: free some space; what was complete before is untouched"
	case errors.Is(err, fs.ErrNotExist) && errors.As(err, &path):
		what, hint = path.Path+" does not exist", "check the spelling of the path"
	case errors.Is(err, fs.ErrPermission) && errors.As(err, &path):
		name := path.Path
		if strings.HasPrefix(filepath.Base(name), ".") { // a file on its way to its place
			name = "the folder " + filepath.Dir(name)
		}
		what, hint = name+" may not be opened or written", "check its permissions, or choose another place with -o or --run"
	}
	return what, hint
}
