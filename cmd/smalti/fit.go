package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/ui"
)

// fit finds a way to paint that the free memory allows, before anything is painted: with all that speeds it up, else with
// fewer cuts at once, else with little memory, else in bands too. It sets the chunk of the request and returns the runner to paint with. When nothing helps
// it refuses and names the nearest size that fits. No way changes a byte of the picture.
func (a *app) fit(ctx context.Context, req *run.Painting, most string, sink event.Sink) (*run.Runner, error) {
	room := run.Room{InUse: inUse}
	if most != fitFree {
		n, err := parseBytes(most)
		if err != nil {
			return nil, err
		}
		room.Free = n
	} else if room.Free = freeMemory() + inUse(); freeMemory() == 0 {
		return nil, spec.Refuse("this system does not say how much memory is free", "say it: --fit 4GB")
	}
	c := req.Chunk
	for _, w := range []struct {
		low   bool
		bands bandsFlag
	}{{false, a.bands}, {true, a.bands}, {true, max(a.bands, engine.BandBytes)}} {
		low, last := w.low, w.bands > 0
		if a.lowMemory && !low {
			continue
		}
		a.lowMemory, a.bands = low, w.bands
		r, err := a.openRunner()
		if err != nil {
			return nil, err
		}
		chunks := []int{c, (c + 1) / 2}
		if low {
			chunks = []int{c, (c + 3) / 4, 1}
		}
		f, err := r.Forecast(ctx, *req, room, chunks...)
		if err != nil {
			return nil, err
		}
		if f.Fits {
			req.Chunk = f.Chunk
			sink.Emit(event.Event{Kind: event.Notice, Values: map[string]float64{"bytes": float64(f.Bytes), "seconds": f.Seconds, "chunk": float64(f.Chunk), "low_memory": number(low)},
				Message: fmt.Sprintf("the picture will take %s of %s and about %s%s", ui.Bytes(f.Bytes), ui.Bytes(room.Free), ui.Duration(time.Duration(f.Seconds*float64(time.Second))), way(low, last, f.Chunk, c))})
			return r, nil
		}
		if low && last {
			return nil, tooLarge(ctx, r, req, f, room)
		}
		r.Close()
		runtime.GC()
	}
	return nil, nil // not reached: the last way returns
}

func tooLarge(ctx context.Context, r *run.Runner, req *run.Painting, f run.Forecast, room run.Room) error {
	w, h, err := r.Nearest(ctx, *req, f, room)
	if err != nil {
		return err
	}
	hint := "close other programs"
	if w > 0 {
		hint = fmt.Sprintf("the nearest size that fits is --size %dx%d", w, h)
	}
	return spec.Refusef(hint, "%dx%d needs %s, and %s are free", req.Job.Width, req.Job.Height, ui.Bytes(f.Bytes), ui.Bytes(room.Free))
}

// way says what was chosen, where that is not the usual.
func way(low, bands bool, chunk, usual int) string {
	text := ""
	if low {
		text = ", with --low-memory"
	}
	if bands {
		text += ", with --bands"
	}
	if chunk != usual {
		text += fmt.Sprintf(", %d cuts at once", chunk)
	}
	return text
}

// fitFree is the value of --fit that stands for what the system says is free.
const fitFree = "free"

// parseBytes reads a size of memory: 800MB, 1.5GB, with units of 1000.
func parseBytes(s string) (int64, error) {
	for unit, factor := range map[string]float64{"MB": 1e6, "GB": 1e9} {
		if text, ok := strings.CutSuffix(strings.ToUpper(s), unit); ok {
			if v, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil && v > 0 && v*factor < math.MaxInt64 {
				return int64(v * factor), nil
			}
		}
	}
	return 0, spec.Refusef("write a size such as 800MB or 4GB", "--fit=%s is no size of memory", s)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
