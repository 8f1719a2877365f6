package track

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Info says what a run is.
type Info struct {
	ID      string          `json:"id"`                // lower-case letters and digits, unique
	Name    string          `json:"name"`              // for people
	Project string          `json:"project,omitempty"` // what it belongs to
	Kind    string          `json:"kind,omitempty"`    // recipe or verb
	Tags    []string        `json:"tags,omitempty"`    //
	Notes   string          `json:"notes,omitempty"`   //
	Config  json.RawMessage `json:"config,omitempty"`  // one JSON object: its settings
	Created time.Time       `json:"created"`           //
}

// prepareRun makes the folder and run.json, or reads it for a run that goes on.
func prepareRun(dir string, o Options) (Info, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return Info{}, err
	}
	path := filepath.Join(dir, InfoFile)
	info := o.Info
	old, err := readInfo(path)
	switch {
	case err == nil && !o.Resume:
		return Info{}, fmt.Errorf("%s: %w", dir, ErrExists)
	case err == nil:
		info.ID, info.Created = old.ID, old.Created
		if info.Name == "" {
			info.Name = old.Name
		}
	case !errors.Is(err, fs.ErrNotExist) && !o.Resume:
		return Info{}, err
	}
	if info.Created.IsZero() {
		info.Created = o.Now().UTC()
	}
	if info.Name == "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return Info{}, err
		}
		info.Name = filepath.Base(abs)
	}
	if info.ID == "" {
		info.ID = newID(dir, info.Created)
	}
	if len(info.Config) > 0 && !json.Valid(info.Config) {
		return Info{}, errors.New("the run's settings are not JSON")
	}
	b, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return Info{}, err
	}
	return info, replaceFile(path, append(b, '\n'))
}

func readInfo(path string) (info Info, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Info{}, err
	}
	if err := json.Unmarshal(b, &info); err != nil {
		return Info{}, fmt.Errorf("%s: %w", path, err)
	}
	return info, nil
}

// newID is eight letters and digits that no other run has, from where and when it began.
func newID(dir string, at time.Time) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	host, _ := os.Hostname() // two machines may have the same folder
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%d", host, abs, at.UnixNano(), os.Getpid()))
	s := new(big.Int).SetBytes(sum[:]).Text(36)
	return strings.Repeat("0", max(8-len(s), 0)) + s[:min(len(s), 8)]
}
