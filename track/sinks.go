package track

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/smalti/smalti/track/wandb"
)

// Folders of sinks in a run's folder.
const (
	TensorBoardDir = "tensorboard"
	wandbDir       = "wandb"
)

// How W&B wants to be asked: a post every 15 s at most, a sign of life every 30 s.
const (
	onlineEvery = 15 * time.Second
	onlineIdle  = 30 * time.Second
)

// sinks composes what the options and the environment ask for. The run's folder comes first.
func (t *Tracker) sinks() ([]sinkEntry, error) {
	o := t.opts
	out := []sinkEntry{{name: "the run's folder", sink: newStore(t.dir, o.KeepsJournal, o.open)}}
	now := o.Now()
	if o.TensorBoard {
		name := fmt.Sprintf("events.out.tfevents.%010d.smalti.%s", now.Unix(), t.info.ID)
		out = append(out, sinkEntry{name: "TensorBoard", sink: newTensorBoard(filepath.Join(t.dir, TensorBoardDir, name), o.open, now, o.Resume)})
	}
	s, asked, err := wandb.FromEnv(o.Getenv)
	if err != nil {
		return nil, err
	}
	if (asked || o.WandB) && s.Mode != wandb.Disabled {
		run, err := t.wandbRun(s, now)
		if err != nil {
			return nil, err
		}
		out = append(out, sinkEntry{name: "W&B (offline file)", sink: newWandbFile(t.wandbPath(s, run), run, o.open)})
		if s.Mode == wandb.Online {
			client := &wandb.Client{Settings: s, HTTP: o.HTTP, Now: o.Now}
			out = append(out, sinkEntry{"W&B", newWandbOnline(client, run), pace{onlineEvery, onlineIdle}})
		}
	}
	return append(out, o.sinks...), nil
}

// wandbRun describes the run to W&B. The environment has the last word, as it has for W&B's own programs.
func (t *Tracker) wandbRun(s wandb.Settings, now time.Time) (wandb.Run, error) {
	r := wandb.Run{ID: t.info.ID, Entity: s.Entity, Project: t.info.Project, Name: t.info.Name, Notes: t.info.Notes, Host: t.opts.Host,
		Tags: append(append([]string{}, t.info.Tags...), s.Tags...), Start: now, Resumed: t.opts.Resume}
	for to, from := range map[*string]string{&r.ID: s.RunID, &r.Project: s.Project, &r.Name: s.Name} {
		if from != "" {
			*to = from
		}
	}
	if r.Project == "" {
		r.Project = "smalti"
	}
	if err := (wandb.Settings{Mode: wandb.Offline, Project: r.Project, RunID: r.ID}).Check(); err != nil {
		return r, err
	}
	config, err := flatten(t.info)
	r.Config = config
	return r, err
}

// flatten is the configuration of a run as JSON by key. Objects stay whole: W&B shows their keys itself.
func flatten(i Info) (map[string]string, error) {
	out := map[string]string{}
	if len(i.Config) > 0 {
		var c map[string]json.RawMessage
		if err := json.Unmarshal(i.Config, &c); err != nil {
			return nil, fmt.Errorf("the run's settings are not a JSON object: %w", err)
		}
		for k, v := range c {
			out[k] = string(v)
		}
	}
	if i.Kind != "" {
		out["kind"] = wandb.String(i.Kind)
	}
	return out, nil
}

// wandbPath is the folder of this part of the run, as W&B's programs name it.
func (t *Tracker) wandbPath(s wandb.Settings, r wandb.Run) string {
	root := s.Dir
	if root == "" {
		root = t.dir
	}
	kind := "offline-run"
	if s.Mode == wandb.Online {
		kind = "run"
	}
	return filepath.Join(root, wandbDir, fmt.Sprintf("%s-%s-%s", kind, r.Start.Format("20060102_150405"), r.ID))
}
