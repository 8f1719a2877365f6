package track

import (
	"context"
	"fmt"
	"net/url"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/track/wandb"
)

// maxPost bounds the lines of one request; the server takes 10 MB.
const maxPost = 8 << 20

// wandbOnline is the Sink of a W&B server. Until the server knows the run, records wait as they are: how far the run
// got there before decides which steps are sent.
type wandbOnline struct {
	client *wandb.Client
	run    wandb.Run

	place   *wandb.Place // nil until the server has the run
	waiting []Record
	rows    *rows
	files   []upload
	history backlog
	events  backlog
	output  backlog
	summary bool // it changed
	marked  []string
	exited  bool // what ends the run waits to be sent
	emptied bool // and was
}

// backlog are lines of a file that the server does not have yet.
type backlog struct {
	offset int // of the first line in the server's file
	lines  []string
}

func newWandbOnline(c *wandb.Client, run wandb.Run) *wandbOnline {
	return &wandbOnline{client: c, run: run, rows: newRows(run.Start)}
}

// Where is the run's page, once the server knows the run.
func (w *wandbOnline) Where() string {
	if w.place == nil {
		return ""
	}
	base := w.client.Settings.BaseURL
	if base == "https://api.wandb.ai" {
		base = "https://wandb.ai"
	}
	return fmt.Sprintf("%s/%s/%s/runs/%s", base, url.PathEscape(w.place.Entity), url.PathEscape(w.place.Project), url.PathEscape(w.place.Run))
}

// Take keeps a record until the server knows the run.
func (w *wandbOnline) Take(r Record) { w.waiting = append(w.waiting, r) }

// digest turns records into lines.
func (w *wandbOnline) digest() {
	for _, r := range w.waiting {
		if line, ok := consoleLine(r); ok {
			w.output.lines = append(w.output.lines, r.Time.UTC().Format("2006-01-02T15:04:05.000000 ")+line+"\n")
		}
		if r.Kind == System {
			row := map[string]string{"_wandb": "true", "_timestamp": wandb.Number(float64(r.Time.UnixMilli()) / 1e3),
				"_runtime": wandb.Number(r.Time.Sub(w.run.Start).Seconds())}
			for k, v := range machine(r.Values) {
				row["system."+k] = v
			}
			w.events.lines = append(w.events.lines, wandb.Line(row))
			continue
		}
		if r.Kind == event.Samples && int64(r.Step) <= w.rows.after {
			continue // the server has it
		}
		done, file := w.rows.take(r)
		w.row(done)
		if file != nil {
			w.files = append(w.files, *file)
		}
	}
	w.waiting = nil
	if len(w.rows.changes()) > 0 {
		w.summary = true
	}
}

func (w *wandbOnline) row(f *finished) {
	if f != nil {
		w.history.lines = append(w.history.lines, wandb.Line(f.row))
	}
}

// Flush registers the run if need be, sends files, then lines, and at least a sign of life. What the server took is
// not sent again.
func (w *wandbOnline) Flush(ctx context.Context) error {
	if err := w.register(ctx); err != nil {
		return err
	}
	w.digest()
	for len(w.files) > 0 {
		if err := w.client.Upload(ctx, *w.place, w.files[0].path, w.files[0].data); err != nil {
			return err
		}
		w.marked = append(w.marked, w.files[0].path)
		w.files = w.files[1:]
	}
	for {
		sent, more, err := w.post(ctx)
		if err != nil {
			return err
		}
		if sent.Files == nil || !more {
			return nil
		}
	}
}

// register finds out how far the run got on the server, and brings it up to date there.
func (w *wandbOnline) register(ctx context.Context) error {
	if w.place != nil {
		return nil
	}
	p, err := w.client.Progress(ctx, w.run.Project, w.run.Entity, w.run.ID)
	if err != nil {
		return err
	}
	place, err := w.client.Upsert(ctx, w.run)
	if err != nil {
		return err
	}
	w.place = &place
	if p.Exists {
		w.history.offset, w.events.offset, w.output.offset = p.History, p.Events, p.Log
		w.rows.after = p.LastStep
		for k, v := range p.Summary {
			w.rows.summary[k] = string(v)
		}
	}
	return nil
}

// post sends as many lines as one request takes.
func (w *wandbOnline) post(ctx context.Context) (u wandb.Update, more bool, err error) {
	room := maxPost
	parts := []struct {
		name string
		from *backlog
		n    int
	}{{wandb.HistoryFile, &w.history, 0}, {wandb.EventsFile, &w.events, 0}, {wandb.OutputFile, &w.output, 0}}
	for i := range parts {
		p := &parts[i]
		for p.n < len(p.from.lines) && (room == maxPost || len(p.from.lines[p.n]) <= room) {
			room -= len(p.from.lines[p.n])
			p.n++
		}
		if p.n > 0 {
			u.Files = with(u.Files, p.name, wandb.Chunk{Offset: p.from.offset, Content: p.from.lines[:p.n]})
		}
		more = more || p.n < len(p.from.lines)
	}
	if w.summary {
		u.Files = with(u.Files, wandb.SummaryFile, wandb.Chunk{Content: []string{wandb.Line(w.rows.summary)}})
	}
	u.Uploaded = w.marked
	if err := w.client.Stream(ctx, *w.place, u); err != nil {
		return u, more, err
	}
	for _, p := range parts {
		p.from.offset += p.n
		p.from.lines = p.from.lines[p.n:]
	}
	w.summary, w.marked = false, nil
	return u, more, nil
}

func with(m map[string]wandb.Chunk, name string, c wandb.Chunk) map[string]wandb.Chunk {
	if m == nil {
		m = map[string]wandb.Chunk{}
	}
	m[name] = c
	return m
}

// Close sends the last row, the summary, the usual files and the exit.
func (w *wandbOnline) Close(ctx context.Context, end End) error {
	if !w.exited {
		if err := w.register(ctx); err != nil {
			return err
		}
		w.digest()
		w.row(w.rows.flush())
		runtime := end.Time.Sub(w.run.Start).Seconds()
		w.rows.changed["_wandb"] = wandb.Line(map[string]string{"runtime": wandb.Number(float64(int(runtime)))})
		w.rows.changes()
		w.summary, w.exited = true, true
		w.files = append(w.files, upload{"config.yaml", []byte(wandb.ConfigJSON(w.run.Config) + "\n")},
			upload{wandb.SummaryFile, []byte(wandb.Line(w.rows.summary) + "\n")})
	}
	if !w.emptied { // once the server may have been told that the run is over, nothing else is sent
		if err := w.Flush(ctx); err != nil {
			return err
		}
		w.emptied = true
	}
	complete, code := true, end.ExitCode()
	return w.client.Stream(ctx, *w.place, wandb.Update{Complete: &complete, ExitCode: &code})
}
