package wandb

import (
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Entry is a record as it was read. Which fields are set depends on Kind.
type Entry struct {
	Num    uint64
	Kind   string            // header, run, telemetry, history, summary, config, stats, output, files, exit, footer or other
	Values map[string]string // JSON by key: of history, summary, config, stats; a run's configuration
	Step   int64             // of history
	Run    Run               // of run, without Config
	Line   string            // of output
	Paths  []string          // of files
	Code   int               // of exit
	Time   time.Time         // of stats and output
}

var kinds = map[protowire.Number]string{recHeader: "header", recRun: "run", recTelemetry: "telemetry", recHistory: "history",
	recSummary: "summary", recConfig: "config", recStats: "stats", recOutput: "output", recFiles: "files", recExit: "exit", recFooter: "footer"}

// Reader reads a .wandb file.
type Reader struct{ frames frames }

// NewReader returns a Reader of a file's bytes; wrap large files in a bufio.Reader.
func NewReader(r io.Reader) *Reader { return &Reader{frames{r: r}} }

// Next returns the next record, or io.EOF at the end of the file. A file cut by a crash gives io.ErrUnexpectedEOF, any
// other damage an error that wraps ErrCorrupt.
func (r *Reader) Next() (Entry, error) {
	b, err := r.frames.next()
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Kind: "other"}
	err = each(b, func(f protowire.Number, n uint64, b []byte) error {
		if f == recNum {
			e.Num = n
		}
		if kind, ok := kinds[f]; ok {
			e.Kind = kind
			return e.body(f, b)
		}
		return nil
	})
	return e, err
}

func (e *Entry) body(kind protowire.Number, b []byte) error {
	switch kind {
	case recRun:
		return e.run(b)
	case recHistory, recSummary, recConfig, recStats:
		return e.values(kind, b)
	case recOutput:
		return each(b, func(f protowire.Number, _ uint64, b []byte) (err error) {
			switch f {
			case outputLine:
				e.Line = string(b)
			case outputTime:
				e.Time, err = unstamp(b)
			}
			return err
		})
	case recFiles:
		return each(b, func(f protowire.Number, _ uint64, b []byte) error {
			if f != listItem {
				return nil
			}
			return each(b, func(f protowire.Number, _ uint64, b []byte) error {
				if f == filePath {
					e.Paths = append(e.Paths, string(b))
				}
				return nil
			})
		})
	case recExit:
		return each(b, func(f protowire.Number, n uint64, _ []byte) error {
			if f == exitCode {
				e.Code = int(int32(n))
			}
			return nil
		})
	}
	return nil
}

func (e *Entry) values(kind protowire.Number, b []byte) error {
	at := protowire.Number(listItem)
	if kind == recStats {
		at = statsItem
	}
	e.Values = map[string]string{}
	return each(b, func(f protowire.Number, _ uint64, b []byte) (err error) {
		switch {
		case f == at:
			return item(e.Values, b)
		case kind == recStats && f == statsTime:
			e.Time, err = unstamp(b)
		case kind == recHistory && f == historyStep:
			return each(b, func(f protowire.Number, n uint64, _ []byte) error {
				if f == historyStepNum {
					e.Step = int64(n)
				}
				return nil
			})
		}
		return err
	})
}

func (e *Entry) run(b []byte) error {
	r := &e.Run
	strings := map[protowire.Number]*string{runID: &r.ID, runEntity: &r.Entity, runProject: &r.Project, runName: &r.Name,
		runNotes: &r.Notes, runHost: &r.Host}
	e.Values = map[string]string{}
	return each(b, func(f protowire.Number, n uint64, b []byte) (err error) {
		if s, ok := strings[f]; ok {
			*s = string(b)
		}
		switch f {
		case runTags:
			r.Tags = append(r.Tags, string(b))
		case runStart:
			r.Start, err = unstamp(b)
		case runResumed:
			r.Resumed = n != 0
		case runStartStep:
			r.StartingStep = int64(n)
		case runConfig:
			return each(b, func(f protowire.Number, _ uint64, b []byte) error {
				if f != listItem {
					return nil
				}
				return item(e.Values, b)
			})
		}
		return err
	})
}

func item(into map[string]string, b []byte) error {
	var k, v string
	err := each(b, func(f protowire.Number, _ uint64, b []byte) error {
		switch f {
		case itemKey:
			k = string(b)
		case itemJSON:
			v = string(b)
		}
		return nil
	})
	into[k] = v
	return err
}

func unstamp(b []byte) (time.Time, error) {
	var s, ns int64
	err := each(b, func(f protowire.Number, n uint64, _ []byte) error {
		switch f {
		case stampSeconds:
			s = int64(n)
		case stampNanos:
			ns = int64(n)
		}
		return nil
	})
	return time.Unix(s, ns).UTC(), err
}

// each calls do for every field of a message, with its number or its bytes. Fields of other types are skipped.
func each(b []byte, do func(f protowire.Number, n uint64, b []byte) error) error {
	for len(b) > 0 {
		f, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("tag: %w", ErrCorrupt)
		}
		b = b[n:]
		var num uint64
		var body []byte
		switch typ {
		case protowire.VarintType:
			num, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			body, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(f, typ, b)
		}
		if n < 0 {
			return fmt.Errorf("field %d: %w", f, ErrCorrupt)
		}
		b = b[n:]
		if err := do(f, num, body); err != nil {
			return err
		}
	}
	return nil
}
