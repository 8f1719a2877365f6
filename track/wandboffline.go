package track

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/smalti/smalti/track/wandb"
)

// wandbFile is the Sink of a run's folder as `wandb sync` takes it: run-ID.wandb with everything in it, and the folder
// "files" with pictures, config.yaml, wandb-metadata.json, wandb-summary.json and output.log.
type wandbFile struct {
	dir     string
	run     wandb.Run
	log     growing
	output  growing
	records uint64 // in the file
	pending []wandb.Record
	lines   []byte
	files   []upload
	rows    *rows
	written bool // the files that every run has
	exited  bool
}

func newWandbFile(dir string, run wandb.Run, open openFunc) *wandbFile {
	w := &wandbFile{dir: dir, run: run, rows: newRows(run.Start),
		log:    growing{path: filepath.Join(dir, "run-"+run.ID+".wandb"), open: open},
		output: growing{path: filepath.Join(dir, "files", wandb.OutputFile), open: open}}
	w.add(wandb.Header(), run.Record(), wandb.Telemetry())
	return w
}

// Where is the folder.
func (w *wandbFile) Where() string { return w.dir }

func (w *wandbFile) add(r ...wandb.Record) { w.pending = append(w.pending, r...) }

// Take turns a record into records of the log.
func (w *wandbFile) Take(r Record) {
	if line, ok := consoleLine(r); ok {
		w.add(wandb.Output(r.Time, line+"\n"))
		w.lines = append(w.lines, line+"\n"...)
	}
	if r.Kind == System {
		w.add(wandb.Stats(r.Time, machine(r.Values)))
		return
	}
	done, file := w.rows.take(r)
	w.row(done)
	if file != nil {
		w.files = append(w.files, *file)
		w.add(wandb.Files(file.path))
	}
}

func (w *wandbFile) row(f *finished) {
	if f == nil {
		return
	}
	w.add(wandb.History(f.step, f.row))
	if c := w.rows.changes(); len(c) > 0 {
		w.add(wandb.Summary(c))
	}
}

// Flush writes files, then all records in one piece.
func (w *wandbFile) Flush(context.Context) error {
	if !w.written {
		if err := w.begin(); err != nil {
			return err
		}
		w.written = true
	}
	for len(w.files) > 0 {
		if err := w.put(w.files[0].path, w.files[0].data); err != nil {
			return err
		}
		w.files = w.files[1:]
	}
	if err := w.output.append(w.lines); err != nil {
		return err
	}
	w.lines = nil
	if err := w.log.start(); err != nil {
		return err
	}
	var b []byte
	for i, r := range w.pending {
		b = wandb.AppendFrame(b, w.log.size+int64(len(b)), r.Encode(w.records+uint64(i)+1))
	}
	if err := w.log.append(b); err != nil {
		return err
	}
	w.records += uint64(len(w.pending))
	w.pending = nil
	return nil
}

// begin makes the folder and the files that people look for in it.
func (w *wandbFile) begin() error {
	if err := os.MkdirAll(filepath.Join(w.dir, "logs"), 0o777); err != nil {
		return err
	}
	// JSON is YAML, so config.yaml is written as JSON.
	if err := w.put("config.yaml", []byte(wandb.ConfigJSON(w.run.Config)+"\n")); err != nil {
		return err
	}
	meta, err := json.Marshal(map[string]string{"program": "smalti", "host": w.run.Host, "startedAt": w.run.Start.UTC().Format(time.RFC3339Nano)})
	if err != nil {
		return err
	}
	if err := w.put("wandb-metadata.json", meta); err != nil {
		return err
	}
	w.add(wandb.Files("config.yaml", "wandb-metadata.json"))
	latest := filepath.Join(filepath.Dir(w.dir), "latest-run")
	if to, err := os.Readlink(latest); err == nil && strings.Contains(to, "run-") {
		_ = os.Remove(latest) // only ever a link of W&B's own; a convenience, so failures do not matter
	}
	_ = os.Symlink(filepath.Base(w.dir), latest)
	return nil
}

func (w *wandbFile) put(path string, data []byte) error {
	to := filepath.Join(w.dir, "files", filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	return replaceFile(to, data)
}

// Close writes the last row, the whole summary and the exit.
func (w *wandbFile) Close(ctx context.Context, end End) error {
	if !w.exited {
		w.exited = true
		w.row(w.rows.flush())
		runtime := end.Time.Sub(w.run.Start)
		w.rows.changed["_wandb"] = wandb.Line(map[string]string{"runtime": wandb.Number(float64(int(runtime.Seconds())))})
		w.add(wandb.Summary(w.rows.changes()))
		w.files = append(w.files, upload{wandb.SummaryFile, []byte(wandb.Line(w.rows.summary) + "\n")})
		w.add(wandb.Files(wandb.SummaryFile, wandb.OutputFile), wandb.Exit(end.ExitCode(), runtime), wandb.Footer())
	}
	if err := w.Flush(ctx); err != nil {
		return err
	}
	return errors.Join(w.log.close(), w.output.close())
}
