package track

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"time"
)

// Sampler measures the machine.
type Sampler interface {
	// Sample returns figures by name: "cpu" is the share of all cores that this process used since the last sample, in
	// percent; "rss" its resident memory in bytes. What cannot be measured is left out.
	Sample() (map[string]float64, error)
}

// NewSampler measures this process. now is the clock that CPU time is compared with; nil is time.Now.
func NewSampler(now func() time.Time) Sampler {
	if now == nil {
		now = time.Now
	}
	return &process{now: now}
}

type process struct {
	now  func() time.Time
	at   time.Time     // of the last sample
	used time.Duration // CPU time until then
}

func (p *process) Sample() (map[string]float64, error) {
	out := map[string]float64{}
	if b, ok := residentBytes(); ok {
		out["rss"] = float64(b)
	}
	used, ok := cpuTime()
	if !ok {
		return out, nil
	}
	now := p.now()
	if wall := now.Sub(p.at); !p.at.IsZero() && wall > 0 {
		out["cpu"] = 100 * float64(used-p.used) / float64(wall) / float64(runtime.NumCPU())
	}
	p.at, p.used = now, used
	return out, nil
}

// residentBytes is the resident memory as Linux tells it; elsewhere what Go asked the system for.
func residentBytes() (uint64, bool) {
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := bytes.Fields(b); len(f) > 1 {
			if pages, err := strconv.ParseUint(string(f[1]), 10, 64); err == nil {
				return pages * uint64(os.Getpagesize()), true
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapReleased, true
}
