package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// hubCache makes a cache as the hub's clients lay it out: blobs, links to them in snapshots, branches in refs.
func hubCache(t *testing.T) string {
	t.Helper()
	cache := t.TempDir()
	repo := filepath.Join(cache, "models--openai--clip")
	for _, d := range []string{"blobs", "refs/pr", "snapshots/c0ffee/sub", "snapshots/dead"} {
		if err := os.MkdirAll(filepath.Join(repo, filepath.FromSlash(d)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"blobs/abc": "weights", "refs/main": "c0ffee\n", "refs/pr/1": "dead", "refs/evil": "../../../..", "refs/gone": "beef",
		"snapshots/dead/model.bin": "old", "../secret": "s",
	} {
		if err := os.WriteFile(filepath.Join(repo, filepath.FromSlash(name)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"model.bin": "../../blobs/abc", "sub/model.bin": "../../../blobs/abc", "out.bin": "../../../secret"} {
		if err := os.Symlink(filepath.FromSlash(to), filepath.Join(repo, "snapshots", "c0ffee", filepath.FromSlash(link))); err != nil {
			t.Skip(err)
		}
	}
	return cache
}

func TestFindHF(t *testing.T) {
	cache := hubCache(t)
	for _, c := range []struct{ repo, file, want string }{
		{"openai/clip", "model.bin", "weights"},
		{"openai/clip", "sub/model.bin", "weights"},
		{"openai/clip@main", "model.bin", "weights"},
		{"openai/clip@c0ffee", "model.bin", "weights"},
		{"openai/clip@pr/1", "model.bin", "old"},
		{"openai/clip@dead", "model.bin", "old"},
	} {
		p, err := FindHF(cache, c.repo, c.file)
		if err != nil {
			t.Errorf("%s %s: %v", c.repo, c.file, err)
			continue
		}
		if b, err := os.ReadFile(p); err != nil || string(b) != c.want {
			t.Errorf("%s %s is %q, %v", c.repo, c.file, b, err)
		}
	}
	for _, c := range []struct{ repo, file string }{
		{"openai/clip", "none.bin"}, {"openai/none", "model.bin"}, {"openai/clip@beef", "model.bin"}, {"openai/clip@gone", "model.bin"},
	} {
		if p, err := FindHF(cache, c.repo, c.file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s %s: %s, %v", c.repo, c.file, p, err)
		}
	}
	for _, c := range []struct{ repo, file string }{
		{"openai/clip", "../x"}, {"openai/clip", "/etc/passwd"}, {"../clip", "x"}, {"openai/clip@../..", "x"}, {"a/b/c", "x"}, {"a--b", "x"},
		{"openai/clip@evil", "secret"}, {"openai/clip", "out.bin"}, {"openai/clip", "sub"}, {"", "x"}, {"openai/clip", ""},
	} {
		if p, err := FindHF(cache, c.repo, c.file); err == nil {
			t.Errorf("%s %s was found at %s", c.repo, c.file, p)
		}
	}
	if _, err := FindHF("", "openai/clip", "model.bin"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no cache: %v", err)
	}
}

func TestHFCache(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"HF_HUB_CACHE": "/c", "HF_HOME": "/hf", "HOME": "/h"}, "/c"},
		{map[string]string{"HF_HOME": "/hf", "HOME": "/h"}, "/hf/hub"},
		{map[string]string{"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/huggingface/hub"},
		{map[string]string{"HOME": "/h"}, "/h/.cache/huggingface/hub"},
		{nil, ""},
	} {
		if got := filepath.ToSlash(HFCache(func(k string) string { return c.env[k] })); got != c.want {
			t.Errorf("%v: %q, want %q", c.env, got, c.want)
		}
	}
}
