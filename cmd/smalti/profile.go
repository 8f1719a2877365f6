package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/spec"
)

// profiles is what --profile and --pprof ask for. Their files are opened before any work, so that a folder that is not
// there is found at once.
type profiles struct {
	trace, table, cpu *os.File // nil when not asked for
	recorder          *engine.Recorder
}

// startProfiles begins recording: with trace, the time of every operation as Chrome's trace in that file and as a table
// in the file with .txt after its name; with cpu, a profile of the Go program.
func startProfiles(trace, cpu string, now func() time.Time) (p *profiles, err error) {
	p = &profiles{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
			p = nil
		}
	}()
	open := func(f **os.File, flag, path string) error {
		var err error
		if *f, err = os.Create(path); err != nil {
			*f = nil
			return spec.Refusef("name a file in a folder that exists", "%s: %v", flag, err)
		}
		return nil
	}
	if trace != "" {
		if err := open(&p.trace, "--profile", trace); err != nil {
			return p, err
		}
		if err := open(&p.table, "--profile", trace+".txt"); err != nil {
			return p, err
		}
	}
	if cpu != "" {
		if err := open(&p.cpu, "--pprof", cpu); err != nil {
			return p, err
		}
		if err := pprof.StartCPUProfile(p.cpu); err != nil {
			return p, fmt.Errorf("start the profile: %w", err)
		}
	}
	if trace != "" {
		p.recorder = engine.Record(engine.RecordOptions{Now: now, Ops: true})
	}
	return p, nil
}

// stop ends recording and writes the files.
func (p *profiles) stop() error {
	if p == nil {
		return nil
	}
	if p.cpu != nil {
		pprof.StopCPUProfile()
	}
	var err error
	if p.recorder != nil {
		p.recorder.Stop()
		err = errors.Join(engine.WriteTrace(p.trace, p.recorder.Take()), p.recorder.WriteTable(p.table))
	}
	if err = errors.Join(err, p.close()); err != nil {
		return fmt.Errorf("write the profile: %w", err)
	}
	return nil
}

func (p *profiles) close() error {
	var errs []error
	for _, f := range []*os.File{p.trace, p.table, p.cpu} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
