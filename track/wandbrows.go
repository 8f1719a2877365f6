package track

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image/png"
	"maps"
	"math"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/track/wandb"
)

// upload is a file that belongs to a W&B run.
type upload struct {
	path string // in the run's folder "files", with slashes
	data []byte
}

// rows gathers records into W&B's table, which has one row a step, and its summary. A row is finished when a record of
// another step comes. Steps that the table already has are left out: W&B takes rows in rising order only, and a run
// that is resumed from an earlier step computes the same numbers again.
type rows struct {
	start   time.Time
	after   int64 // the last step of the table; -1 if it is empty
	step    int64
	row     map[string]string
	at      time.Time
	summary map[string]string
	changed map[string]string // of summary, since it was last asked for
}

func newRows(start time.Time) *rows {
	return &rows{start: start, after: -1, row: map[string]string{}, summary: map[string]string{}, changed: map[string]string{}}
}

// finished is a row that is complete.
type finished struct {
	step int64
	row  map[string]string
}

// take adds a record to the row of its step and returns the row before it, if that is now finished, and a picture's
// file.
func (w *rows) take(r Record) (done *finished, file *upload) {
	values := map[string]string{}
	for k, v := range Numbers(r.Event) {
		values[k] = wandb.Number(v)
	}
	maps.Copy(w.changed, values)
	switch r.Kind {
	case event.Histograms:
		for k, h := range r.Histograms {
			if h.Valid() {
				values[k] = wandb.Histogram(h)
			}
		}
	case event.Samples:
		file = encode(r)
		if file != nil {
			size := r.Picture.Bounds().Size()
			sum := sha256.Sum256(file.data)
			values[sampleName(r.Event)] = wandb.ImageFile(file.path, hex.EncodeToString(sum[:]), len(file.data), size.X, size.Y)
			maps.Copy(w.changed, map[string]string{sampleName(r.Event): values[sampleName(r.Event)]})
		}
	}
	if len(values) == 0 || int64(r.Step) <= w.after {
		return nil, file
	}
	if int64(r.Step) != w.step {
		done = w.flush()
	}
	w.step, w.at = int64(r.Step), r.Time
	maps.Copy(w.row, values)
	return done, file
}

// flush finishes the row at hand; nil if there is none.
func (w *rows) flush() *finished {
	if len(w.row) == 0 || w.step <= w.after {
		w.row = map[string]string{}
		return nil
	}
	w.stamp(w.row)
	f := &finished{w.step, w.row}
	for _, k := range []string{"_step", "_timestamp", "_runtime"} {
		w.changed[k] = w.row[k]
	}
	w.after, w.row = w.step, map[string]string{}
	return f
}

func (w *rows) stamp(row map[string]string) {
	row["_step"] = fmt.Sprint(w.step)
	row["_timestamp"] = wandb.Number(float64(w.at.UnixMilli()) / 1e3)
	row["_runtime"] = wandb.Number(math.Round(w.at.Sub(w.start).Seconds()*1e3) / 1e3)
}

// changes returns what is new in the summary.
func (w *rows) changes() map[string]string {
	c := w.changed
	w.changed = map[string]string{}
	maps.Copy(w.summary, c)
	return c
}

// encode makes a sheet of samples the file that W&B looks for; nil if there is no picture.
func encode(r Record) *upload {
	if r.Picture == nil || r.Picture.Bounds().Empty() {
		return nil
	}
	var b bytes.Buffer
	if err := png.Encode(&b, r.Picture); err != nil {
		return nil // no PNG can hold it
	}
	sum := sha256.Sum256(b.Bytes())
	return &upload{fmt.Sprintf("media/images/%s_%d_%s.png", fileName(sampleName(r.Event)), r.Step, hex.EncodeToString(sum[:10])), b.Bytes()}
}

// machine are the figures of the machine under W&B's names.
func machine(values map[string]float64) map[string]string {
	out := map[string]string{}
	for k, v := range values {
		switch k {
		case "rss":
			out["proc.memory.rssMB"] = wandb.Number(v / (1 << 20))
		default:
			out[k] = wandb.Number(v)
		}
	}
	return out
}
