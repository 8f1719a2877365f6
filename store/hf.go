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
	root, dir, commit, err := openHF(cache, repo)
	if err != nil {
		return "", err
	}
	defer root.Close()
	name, _, _ := strings.Cut(repo, "@")
	if !fs.ValidPath(file) || file == "." || strings.Contains(file, "\\") {
		return "", fmt.Errorf("hugging face cache: bad name %q", file)
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

// ListHF returns the commit and the names of the files, in order, that a Hugging Face cache has of a repository at a
// revision (see FindHF). If it has none the error is an fs.ErrNotExist.
func ListHF(cache, repo string) (commit string, files []string, err error) {
	root, _, commit, err := openHF(cache, repo)
	if err != nil {
		return "", nil, err
	}
	defer root.Close()
	at := path.Join("snapshots", commit)
	err = fs.WalkDir(root.FS(), at, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(p, at+"/"))
		}
		return err
	})
	if err != nil {
		return "", nil, fmt.Errorf("hugging face cache: %s: %w", repo, err)
	}
	return commit, files, nil
}

// openHF opens a repository's folder in a Hugging Face cache and resolves the revision. The caller closes the root.
func openHF(cache, repo string) (root *os.Root, dir, commit string, err error) {
	name, revision, ok := strings.Cut(repo, "@")
	if !ok {
		revision = "main"
	}
	for _, p := range []string{name, revision} {
		if !fs.ValidPath(p) || p == "." || strings.Contains(p, "\\") {
			return nil, "", "", fmt.Errorf("hugging face cache: bad name %q", p)
		}
	}
	if strings.Count(name, "/") > 1 || strings.Contains(name, "--") {
		return nil, "", "", fmt.Errorf("hugging face cache: bad repository %q", name)
	}
	if cache == "" {
		return nil, "", "", fmt.Errorf("hugging face cache: no folder: %w", fs.ErrNotExist)
	}
	dir = filepath.Join(cache, "models--"+strings.ReplaceAll(name, "/", "--"))
	if root, err = os.OpenRoot(dir); err != nil {
		return nil, "", "", fmt.Errorf("hugging face cache: %s: %w", name, err)
	}
	if commit, err = commitOf(root, revision); err != nil {
		root.Close()
		return nil, "", "", fmt.Errorf("hugging face cache: %s: revision %s: %w", name, revision, err)
	}
	return root, dir, commit, nil
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
