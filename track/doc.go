// Package track keeps the numbers of runs and shows them: a store on disk that is always there, TensorBoard's event
// files, Weights & Biases, curves as pictures and as text. It knows no model and no graph; whatever it gets arrives as
// an event.Event.
//
// Start with Open, which gives a Tracker: an event.Sink to hand to a training, a writer for console lines, and Close.
// Runs lists what a folder of runs holds, Run.Series reads curves back, Plot and Chart draw them.
//
// The way of an event: Tracker.Emit stamps it and puts it into the queue of each lane; a lane (lane.go) is the goroutine
// of one Sink, which retries, waits and gives up without the training noticing. Sinks: store.go (events.jsonl, samples,
// console), tensorboard.go, wandboffline.go, wandbonline.go. Formats live in track/tfevents and track/wandb, drawing in
// track/curve.
//
// The index of a folder of runs (index.go) is one JSON file and not SQLite: it holds a few hundred bytes for each run,
// is read whole to print a list and can be deleted at any time. SQLite would add 5.4 MB to the program (6.0 to 11.4 MB
// for a minimal one, ncruces/go-sqlite3 v0.37.0, stripped) and 43 s to a first build on two cores, for nothing that a
// list of runs asks for. The curves are drawn by our own renderer, as gonum/plot adds 7.2 MB and Go's fonts with
// x/image's rasteriser 0.5 MB.
package track
