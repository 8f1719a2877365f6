package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// HFCache returns the folder of the Hugging Face hub's cache: $HF_HUB_CACHE, else $HF_HOME/hub, else
// $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub; empty if even HOME is unset.
func HFCache(getenv func(string) string) string {
	for _, key := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"} {
		if p := getenv(key); p != "" {
			return p
		}
	}
	if p := getenv("HF_HOME"); p != "" {
		return filepath.Join(p, "hub")
	}
	if p := getenv("XDG_CACHE_HOME"); p != "" {
		return filepath.Join(p, "huggingface", "hub")
	}
	if p := getenv("HOME"); p != "" {
		return filepath.Join(p, ".cache", "huggingface", "hub")
	}
	return ""
}

// FindHF returns the path of a file of a repository in a Hugging Face cache, which is only read: repo is
// "owner/name", or "owner/name@revision" with a branch, tag or commit (main if none). Links are followed as long as
// they stay inside the repository's folder. If the file is not there the error is an fs.ErrNotExist.
func FindHF(cache, repo, file string) (string, error) {
	name, revision, ok := strings.Cut(repo, "@")
	if !ok {
		revision = "main"
	}
	for _, p := range []string{name, revision, file} {
		if !fs.ValidPath(p) || p == "." || strings.Contains(p, "\\") {
			return "", fmt.Errorf("hugging face cache: bad name %q", p)
		}
	}
	if strings.Count(name, "/") > 1 || strings.Contains(name, "--") {
		return "", fmt.Errorf("hugging face cache: bad repository %q", name)
	}
	if cache == "" {
		return "", fmt.Errorf("hugging face cache: no folder: %w", fs.ErrNotExist)
	}
	dir := filepath.Join(cache, "models--"+strings.ReplaceAll(name, "/", "--"))
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", fmt.Errorf("hugging face cache: %s: %w", name, err)
	}
	defer root.Close()
	commit, err := commitOf(root, revision)
	if err != nil {
		return "", fmt.Errorf("hugging face cache: %s: revision %s: %w", name, revision, err)
	}
	at := path.Join("snapshots", commit, file)
	info, err := root.Stat(at)
	if err != nil {
		return "", fmt.Errorf("hugging face cache: %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("hugging face cache: %s: %s is not a file", name, file)
	}
	return filepath.Join(dir, filepath.FromSlash(at)), nil
}

// commitOf resolves a revision: a branch or tag under refs, or else a snapshot's own name.
func commitOf(root *os.Root, revision string) (string, error) {
	f, err := root.Open(path.Join("refs", revision))
	if errors.Is(err, fs.ErrNotExist) {
		return revision, nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, 200))
	if err != nil {
		return "", err
	}
	commit := strings.TrimSpace(string(raw))
	if !plainPart(commit) {
		return "", fmt.Errorf("refs name %q", commit)
	}
	return commit, nil
}
