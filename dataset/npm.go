package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// command is one call of an external tool.
type command struct {
	dir   string   // working folder, empty for the current one
	name  string   // executable, looked up in PATH
	args  []string // arguments
	stdin []byte   // given to the tool, may be nil
}

// runner executes a command and returns its standard output. Tests inject their own.
type runner func(ctx context.Context, c command) ([]byte, error)

// ToolError reports an external program that is not installed.
type ToolError struct {
	Tool string // executable that was looked for
	Hint string // what to install
}

func (e *ToolError) Error() string {
	return fmt.Sprintf("%s is needed and was not found in PATH; %s", e.Tool, e.Hint)
}

// toolHints says what to install for each external program.
var toolHints = map[string]string{
	"npm":          "install Node.js with npm (Debian: apt-get install nodejs npm)",
	"node":         "install Node.js (Debian: apt-get install nodejs)",
	"go":           "install Go, or put the four IDX files of MNIST into the folder yourself",
	"apt-get":      "on other systems than Debian's put the four IDX files of Fashion-MNIST into the folder yourself",
	"dpkg-deb":     "on other systems than Debian's put the four IDX files of Fashion-MNIST into the folder yourself",
	"rsvg-convert": "install librsvg's command line tool (Debian: apt-get install librsvg2-bin)",
}

// needTools checks that every named program exists before any work begins.
func needTools(names ...string) error {
	for _, n := range names {
		if _, err := exec.LookPath(n); err != nil {
			return &ToolError{Tool: n, Hint: toolHints[n]}
		}
	}
	return nil
}

// execCommand is the real runner: os/exec with the tool's last error lines in the error.
func execCommand(ctx context.Context, c command) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.name, c.args...)
	cmd.Dir = c.dir
	if c.stdin != nil {
		cmd.Stdin = bytes.NewReader(c.stdin)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%s: %w: %s", c.name, err, lastLine(errs.String()))
	}
	return out.Bytes(), nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		s = s[i+1:]
	}
	if len(s) > 300 {
		s = s[:300]
	}
	return s
}

// npmPackage is a package pinned by version and by the digest of its archive.
type npmPackage struct {
	Name    string
	Version string
	SHA256  string // of the .tgz; empty means not pinned (tests only)
}

// folder is a file-system-safe name of the package at its version.
func (p npmPackage) folder() string {
	return strings.NewReplacer("@", "", "/", "-").Replace(p.Name) + "-" + p.Version
}

// fetchPackage brings p into cache/<folder> with `npm pack` and unpacks the files keep wants (paths
// inside the package, slash-separated). A folder that is there is complete and is used as it is.
func fetchPackage(ctx context.Context, run runner, p npmPackage, cache string, keep func(string) bool) (string, error) {
	final := filepath.Join(cache, p.folder())
	if st, err := os.Stat(final); err == nil && st.IsDir() {
		return final, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(cache, ".fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	args := []string{"pack", "--silent", "--ignore-scripts", p.Name + "@" + p.Version}
	if _, err := run(ctx, command{dir: tmp, name: "npm", args: args}); err != nil {
		return "", fmt.Errorf("fetch %s@%s: %w", p.Name, p.Version, err)
	}
	found, err := filepath.Glob(filepath.Join(tmp, "*.tgz"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("fetch %s@%s: npm pack left %d archives, want 1", p.Name, p.Version, len(found))
	}
	if err := checkDigest(found[0], p.SHA256); err != nil {
		return "", fmt.Errorf("fetch %s@%s: %w", p.Name, p.Version, err)
	}
	dir := filepath.Join(tmp, "unpacked")
	if err := unpackTGZ(found[0], dir, keep); err != nil {
		return "", fmt.Errorf("unpack %s@%s: %w", p.Name, p.Version, err)
	}
	if err := os.Rename(dir, final); err != nil {
		return "", err
	}
	return final, nil
}

func checkDigest(path, want string) error {
	if want == "" {
		return nil
	}
	got, err := fileDigest(path)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("archive has sha256 %s, want %s", got, want)
	}
	return nil
}

// fileDigest is the hexadecimal sha256 of a file.
func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
