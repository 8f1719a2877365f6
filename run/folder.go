package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/weights"
)

// Files of a run folder. Each is written under a temporary name and renamed, so that what has its final name is whole.
const (
	jobFile    = "job.json"
	stateFile  = "state.safetensors"
	eventsFile = "events.jsonl"
	outFile    = "out.png"
	framesDir  = "frames"
	inputsDir  = "inputs" // pictures that the job names by their sha256
)

// Folder is a run's place on disk.
type Folder struct{ path string }

// FolderFor returns the run folder that belongs to a picture file when the user names none: apple.png has apple.run.
func FolderFor(out string) string {
	return strings.TrimSuffix(out, filepath.Ext(out)) + ".run"
}

// createFolder makes an empty run folder. What stands there may be replaced only if it is a run folder.
func createFolder(path string) (*Folder, error) {
	entries, err := os.ReadDir(path)
	switch {
	case err == nil && len(entries) > 0:
		if !isRun(path) {
			return nil, spec.Refusef("choose another folder with --run", "%s exists and is no run folder", path)
		}
		// Only what a run writes is removed; whatever else somebody put there stays.
		for _, name := range []string{stateFile, eventsFile, outFile, jobFile, framesDir, maskFile, heatFile} {
			if err := os.RemoveAll(filepath.Join(path, name)); err != nil {
				return nil, fmt.Errorf("clear the run folder: %w", err)
			}
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open the run folder: %w", err)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("make the run folder: %w", err)
	}
	return &Folder{path}, nil
}

// OpenFolder opens the run folder at path, or the one that belongs to the picture at path.
func OpenFolder(path string) (*Folder, error) {
	if isRun(path) {
		return &Folder{path}, nil
	}
	if other := FolderFor(path); isRun(other) {
		return &Folder{other}, nil
	}
	return nil, spec.Refusef("name the folder that paint made, for example apple.run", "%s is no run folder", path)
}

func isRun(path string) bool {
	info, err := os.Stat(filepath.Join(path, jobFile))
	return err == nil && info.Mode().IsRegular()
}

// Path returns the folder's path.
func (f *Folder) Path() string { return f.path }

// Job reads the folder's job.
func (f *Folder) Job() (*spec.Job, error) {
	data, err := readCapped(filepath.Join(f.path, jobFile), 1<<20)
	if err != nil {
		return nil, fmt.Errorf("read the job of %s: %w", f.path, err)
	}
	return spec.Decode(data)
}

func (f *Folder) writeJob(j *spec.Job) error {
	data, err := j.Encode()
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(f.path, jobFile), data)
}

// keepInput stores a picture that the job names by its sha256, so that the run goes on without the original file.
func (f *Folder) keepInput(sum string, data []byte) error {
	dir := filepath.Join(f.path, inputsDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("keep an input picture: %w", err)
	}
	return writeFile(filepath.Join(dir, sum), data)
}

// input returns the stored picture of a sha256.
func (f *Folder) input(sum string) ([]byte, error) {
	return readCapped(filepath.Join(f.path, inputsDir, filepath.Base(sum)), maxInput)
}

// frame writes an intermediate picture.
func (f *Folder) frame(step int, img image.Image) (string, error) {
	dir := filepath.Join(f.path, framesDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the folder of frames: %w", err)
	}
	path := filepath.Join(dir, fmt.Sprintf("%06d.png", step))
	return path, weights.SaveFile(path, func(w io.Writer) error { return pixel.EncodePNG(w, img) })
}

// journal appends events to events.jsonl. A line that was cut by a crash is harmless: readers skip it.
type journal struct {
	file *os.File
	err  error
}

func (f *Folder) openJournal() (*journal, error) {
	file, err := os.OpenFile(filepath.Join(f.path, eventsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	return &journal{file: file}, nil
}

// Emit writes one line. The first failure is kept for close: a full disk must not stop the painting before its state
// is saved.
func (j *journal) Emit(e event.Event) {
	if j.err != nil || e.Kind == event.Preview {
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	j.err = err
}

func (j *journal) close() error { return errors.Join(j.err, j.file.Close()) }

func writeFile(path string, data []byte) error {
	return weights.SaveFile(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// readCapped reads a file that must not be larger than most bytes.
func readCapped(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return data, nil
}

// maxInput caps picture files before they are read; decoding has its own caps on pixels.
const maxInput = 256 << 20
