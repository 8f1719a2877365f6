// Package hubtest is a hub for tests, on this machine only: repositories are folders, weights come from a second host,
// and transfers can be made to break.
package hubtest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Commit is what every repository is at; its only branch is main.
const Commit = "0123456789abcdef0123456789abcdef01234567"

// Request is one that a Hub got.
type Request struct {
	CDN                      bool // of the second host
	Method, Path, Range, Key string
}

// Hub serves the repositories below Root: ROOT/OWNER/NAME/FILE. A file card.json is the repository's card and is not
// listed. Files of json and md are kept in git, all others as large files, from the second host.
type Hub struct {
	*httptest.Server
	CDN  *httptest.Server
	Root string

	// Answer, if not nil, may answer a request itself and say so. It is called with cdn for the second host.
	Answer func(w http.ResponseWriter, r *http.Request, cdn bool) bool
	// Cut, if positive, ends each transfer of the second host after so many bytes as a broken connection does; it may give
	// another number for each.
	Cut func(transfer int) int64

	mu        sync.Mutex
	log       []Request
	transfers int
}

// New starts a hub over a folder. The caller closes it.
func New(root string) *Hub {
	h := &Hub{Root: root}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, false) }))
	h.CDN = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, true) }))
	return h
}

// Close ends both hosts.
func (h *Hub) Close() {
	h.Server.Close()
	h.CDN.Close()
}

// Log returns the requests so far and forgets them.
func (h *Hub) Log() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.log
	h.log = nil
	return l
}

func (h *Hub) serve(w http.ResponseWriter, r *http.Request, cdn bool) {
	h.mu.Lock()
	h.log = append(h.log, Request{cdn, r.Method, r.URL.Path, r.Header.Get("Range"), r.Header.Get("Authorization")})
	h.mu.Unlock()
	if h.Answer != nil && h.Answer(w, r, cdn) {
		return
	}
	p := strings.TrimPrefix(r.URL.Path, "/")
	if rest, ok := strings.CutPrefix(p, "api/models/"); ok && !cdn {
		h.info(w, rest)
		return
	}
	repo, file, ok := strings.Cut(p, "/resolve/"+Commit+"/")
	if !ok {
		repo, file, ok = strings.Cut(p, "/resolve/main/")
	}
	data, err := os.ReadFile(filepath.Join(h.Root, filepath.FromSlash(repo), filepath.FromSlash(file)))
	if !ok || err != nil {
		http.NotFound(w, r)
		return
	}
	switch sum, large := name(file, data); {
	case large && !cdn:
		w.Header().Set("X-Repo-Commit", Commit)
		w.Header().Set("X-Linked-Etag", `"`+sum+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(data)))
		http.Redirect(w, r, h.CDN.URL+r.URL.Path+"?signature=secret", http.StatusFound)
	case large:
		h.transfer(w, r, data)
	default:
		w.Header().Set("Etag", `"`+sum+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

// transfer sends a large file, or its beginning and then nothing.
func (h *Hub) transfer(w http.ResponseWriter, r *http.Request, data []byte) {
	h.mu.Lock()
	n := h.transfers
	h.transfers++
	h.mu.Unlock()
	if h.Cut != nil {
		if most := h.Cut(n); most > 0 {
			w = &cutter{w, most}
		}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

type cutter struct {
	http.ResponseWriter
	left int64
}

func (c *cutter) Write(p []byte) (int, error) {
	n := min(int64(len(p)), c.left)
	c.left -= n
	c.ResponseWriter.Write(p[:n])
	if c.left == 0 {
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return len(p), nil
}

// name returns the hash by which a hub names a content, and whether it is a large file.
func name(file string, data []byte) (sum string, large bool) {
	switch filepath.Ext(file) {
	case ".json", ".md":
		s := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...))
		return hex.EncodeToString(s[:]), false
	}
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:]), true
}

// info answers what a hub says about a repository.
func (h *Hub) info(w http.ResponseWriter, p string) {
	repo, revision, _ := strings.Cut(p, "/revision/")
	dir := filepath.Join(h.Root, filepath.FromSlash(repo))
	if info, err := os.Stat(dir); err != nil || !info.IsDir() || revision != "main" && revision != Commit {
		w.Header().Set("X-Error-Message", "Repository not found")
		w.WriteHeader(http.StatusUnauthorized) // as hubs do for what may be private
		return
	}
	type lfs struct {
		SHA256 string `json:"sha256"`
		Size   int    `json:"size"`
	}
	type sibling struct {
		Name string `json:"rfilename"`
		Size int    `json:"size"`
		Blob string `json:"blobId"`
		LFS  *lfs   `json:"lfs,omitempty"`
	}
	out := struct {
		SHA      string          `json:"sha"`
		Gated    bool            `json:"gated"`
		Card     json.RawMessage `json:"cardData,omitempty"`
		Siblings []sibling       `json:"siblings"`
	}{SHA: Commit}
	filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(at)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, at)
		if rel == "card.json" {
			out.Card = data
			return nil
		}
		s := sibling{Name: filepath.ToSlash(rel), Size: len(data)}
		if sum, large := name(rel, data); large {
			s.LFS, s.Blob = &lfs{sum, len(data)}, strings.Repeat("0", 40)
		} else {
			s.Blob = sum
		}
		out.Siblings = append(out.Siblings, s)
		return nil
	})
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(out)
}
