package wandb

import (
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields used, by message.
const (
	recNum, recHistory, recSummary, recConfig, recFiles, recStats     = 1, 2, 3, 5, 6, 7
	recTelemetry, recOutput, recRun, recExit, recHeader, recFooter    = 11, 13, 17, 18, 21, 22
	runID, runEntity, runProject, runConfig, runName, runNotes        = 1, 2, 3, 4, 8, 9
	runTags, runHost, runStartStep, runStart, runResumed, runTelem    = 10, 13, 14, 17, 18, 19
	itemKey, itemJSON                                                 = 1, 16
	historyItem, historyStep, historyStepNum                          = 1, 2, 1
	listItem                                                          = 1 // config, summary: update; files: files; header: version
	statsTime, statsItem                                              = 2, 3
	outputKind, outputTime, outputLine, outputStdout                  = 1, 2, 3, 1
	filePath, filePolicy, fileKind, policyNow, kindWandb, kindMedia   = 1, 2, 3, 0, 1, 2
	exitCode, exitRuntime                                             = 1, 2
	versionProducer, versionMinConsumer, telemetryCLI, telemetryPlace = 1, 2, 5, 13
	stampSeconds, stampNanos                                          = 1, 2
)

// Version is the version of W&B's SDK whose files ours look like. Readers refuse nothing by it so far.
const Version = "0.22.0"

// A Record is the body of one record of the log, without its number.
type Record struct {
	field protowire.Number
	body  []byte
}

// Encode returns the record with its number, which counts from 1 in a file.
func (r Record) Encode(num uint64) []byte { return message(varint(nil, recNum, num), r.field, r.body) }

// Header is the first record of a file.
func Header() Record {
	return Record{recHeader, message(nil, listItem, text(text(nil, versionProducer, Version), versionMinConsumer, "0.0.0"))}
}

// Run describes a run.
type Run struct {
	ID, Entity, Project, Name, Notes, Host string
	Tags                                   []string
	Config                                 map[string]string // JSON by key
	Start                                  time.Time
	Resumed                                bool
	StartingStep                           int64
}

// Record tells a file's reader about the run; it must come before all other records of the run.
func (r Run) Record() Record {
	b := text(nil, runID, r.ID)
	b = text(text(b, runEntity, r.Entity), runProject, r.Project)
	b = message(b, runConfig, items(listItem, r.Config))
	b = text(text(b, runName, r.Name), runNotes, r.Notes)
	for _, t := range r.Tags {
		b = text(b, runTags, t)
	}
	b = text(b, runHost, r.Host)
	if r.StartingStep != 0 {
		b = varint(b, runStartStep, uint64(r.StartingStep))
	}
	b = message(b, runStart, stamp(r.Start))
	if r.Resumed {
		b = varint(b, runResumed, 1)
	}
	return Record{recRun, message(b, runTelem, telemetry())}
}

// Telemetry names the SDK. Readers take a run without it for one that never started.
func Telemetry() Record { return Record{recTelemetry, telemetry()} }

func telemetry() []byte {
	return text(text(nil, telemetryCLI, Version), telemetryPlace, "smalti")
}

// History is one row of a run's table of numbers: JSON by key, with _step, _timestamp and _runtime among the keys.
func History(step int64, row map[string]string) Record {
	return Record{recHistory, message(items(historyItem, row), historyStep, varint(nil, historyStepNum, uint64(step)))}
}

// Summary sets values of the summary, JSON by key.
func Summary(values map[string]string) Record { return Record{recSummary, items(listItem, values)} }

// Config sets values of the configuration, JSON by key.
func Config(values map[string]string) Record { return Record{recConfig, items(listItem, values)} }

// Stats are figures of the machine: JSON by key, such as cpu and proc.memory.rssMB.
func Stats(at time.Time, values map[string]string) Record {
	return Record{recStats, append(message(nil, statsTime, stamp(at)), items(statsItem, values)...)}
}

// Output is a line of the console, with its line break.
func Output(at time.Time, line string) Record {
	b := message(varint(nil, outputKind, outputStdout), outputTime, stamp(at))
	return Record{recOutput, text(b, outputLine, line)}
}

// Files says that files of the run's folder "files" belong to it. Paths have slashes.
func Files(paths ...string) Record {
	var b []byte
	for _, p := range paths {
		kind := uint64(kindWandb)
		if strings.HasPrefix(p, "media/") {
			kind = kindMedia
		}
		b = message(b, listItem, varint(varint(text(nil, filePath, p), filePolicy, policyNow), fileKind, kind))
	}
	return Record{recFiles, b}
}

// Exit ends a run; 0 is success.
func Exit(code int, runtime time.Duration) Record {
	var b []byte
	if code != 0 {
		b = varint(b, exitCode, uint64(code))
	}
	return Record{recExit, varint(b, exitRuntime, uint64(max(runtime, 0).Seconds()))}
}

// Footer is the last record of a file.
func Footer() Record { return Record{recFooter, nil} }

// items writes key and value pairs, keys sorted so that equal values are equal bytes.
func items(field protowire.Number, kv map[string]string) (b []byte) {
	for _, k := range slices.Sorted(maps.Keys(kv)) {
		b = message(b, field, text(text(nil, itemKey, k), itemJSON, kv[k]))
	}
	return b
}

func stamp(t time.Time) []byte {
	return varint(varint(nil, stampSeconds, uint64(t.Unix())), stampNanos, uint64(t.Nanosecond()))
}

// text writes a string field; empty ones are left out, as proto3 does.
func text(b []byte, f protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, f, protowire.BytesType), strings.ToValidUTF8(s, "\uFFFD"))
}

func message(b []byte, f protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, f, protowire.BytesType), m)
}

func varint(b []byte, f protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, f, protowire.VarintType), v)
}
