package hub

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/store"
	"github.com/smalti/smalti/store/hub/hubtest"
)

// cached makes a cache as the hub's other clients lay it out.
func cached(t *testing.T, c *Client, data []byte, readme string) {
	t.Helper()
	repo := filepath.Join(c.Cache, "models--o--r")
	write(t, filepath.Join(repo, "refs", "main"), []byte(hubtest.Commit))
	write(t, filepath.Join(repo, "snapshots", hubtest.Commit, "README.md"), []byte(readme))
	write(t, filepath.Join(repo, "blobs", sumOf(data)), data)
	if err := os.Symlink(filepath.Join("..", "..", "blobs", sumOf(data)), filepath.Join(repo, "snapshots", hubtest.Commit, "model.safetensors")); err != nil {
		t.Skip(err)
	}
}

func TestTheCacheOfOtherClients(t *testing.T) {
	h, c, data := testHub(t, 4_000)
	cached(t, c, data, "---\ntags: [x]\nlicense: apache-2.0\n---\n# r\n")
	got, p, err := pull(t, c, "hf:o/r", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if all, missing := p.Bytes(); missing != 7 || all != 4_007 {
		t.Errorf("%d of %d bytes are missing", missing, all)
	}
	for _, r := range h.Log() {
		if r.CDN {
			t.Errorf("fetched what is cached: %+v", r)
		}
	}
	got.Discard()
	c.Offline, c.Endpoint = true, "http://127.0.0.1:1"
	if got, p, err = pull(t, c, "hf:o/r", "", nil); err != nil || p.Licence != "apache-2.0" || p.Commit != hubtest.Commit {
		t.Fatalf("offline: %+v, %v", p, err)
	}
	got.Discard()
	if b, err := os.ReadFile(p.Files[0].Have); err != nil || sumOf(b) != sumOf(data) {
		t.Errorf("the cache was touched: %v", err)
	}
	if _, _, err := pull(t, c, "hf:o/other", "", nil); !errors.Is(err, ErrOffline) {
		t.Errorf("offline, not cached: %v", err)
	}
	// Damage in the cache is found; online it costs a transfer.
	write(t, filepath.Join(c.Cache, "models--o--r", "blobs", sumOf(data)), make([]byte, 4_000))
	var wrong *HashError
	if _, _, err := pull(t, c, "hf:o/r", "", nil); !errors.As(err, &wrong) {
		t.Errorf("offline, damaged: %v", err)
	}
	c.Offline, c.Endpoint = false, h.URL
	var rec event.Recorder
	if got, _, err = pull(t, c, "hf:o/r", "", &rec); err != nil || len(rec.Events(event.Warning)) != 1 {
		t.Fatalf("online, damaged: %v, %+v", err, rec.Events())
	}
	if b, _ := os.ReadFile(got.Path); sumOf(b) != sumOf(data) {
		t.Error("the damaged file was taken")
	}
	got.Discard()
}

func TestEnvironment(t *testing.T) {
	env := map[string]string{"HF_ENDPOINT": "https://mirror.invalid/", "HF_TOKEN": " t\n", "HF_HUB_OFFLINE": "yes", "HF_HOME": "/h"}
	c := New("d", func(k string) string { return env[k] })
	if c.Endpoint != "https://mirror.invalid" || c.Token != "t" || !c.Offline || c.Cache != filepath.Join("/h", "hub") || c.Dir != "d" {
		t.Errorf("%+v", c)
	}
	if c := New("d", func(string) string { return "" }); c.Offline || c.Token != "" || !strings.HasPrefix(c.Endpoint, "https://") {
		t.Errorf("%+v", c)
	}
}

func TestParseRef(t *testing.T) {
	for s, want := range map[string]Ref{
		"hf:o/r":                             {Repo: "o/r", Revision: "main"},
		"hf:gpt2":                            {Repo: "gpt2", Revision: "main"},
		"hf:o/r@refs/pr/1:a/b.ckpt":          {Repo: "o/r", Revision: "refs/pr/1", File: "a/b.ckpt"},
		"hf:o/r:vae/":                        {Repo: "o/r", Revision: "main", File: "vae"},
		"https://example.invalid/m.pt?x=1#f": {URL: "https://example.invalid/m.pt?x=1"},
		"http://127.0.0.1:8/m":               {URL: "http://127.0.0.1:8/m"},
		"http://localhost/m":                 {URL: "http://localhost/m"},
	} {
		if got, err := ParseRef(s); err != nil || got != want {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "o/r", "hf:", "hf:../r", "hf:o/r/x", "hf:o--r", "hf:o/r@", "hf:o/r:../x", "hf:o/r:", "hf:/o", "hf:o/r@a\\b", "hf:o/r?x", "hf:o/r:a%2e",
		"http://example.invalid/m", "ftp://example.invalid/m", "file:///m", "https://u:p@example.invalid/m", "https:///m"} {
		var e *RefError
		if r, err := ParseRef(s); !errors.As(err, &e) || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%q: %+v, %v", s, r, err)
		}
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		file string
		all  string
		want string // "" is a refusal
	}{
		{"", "pytorch_model.bin config.json model.safetensors open_clip_pytorch_model.bin", "model.safetensors config.json"},
		{"", "pytorch_model.bin tf_model.h5 preprocessor_config.json", "pytorch_model.bin preprocessor_config.json"},
		{"", "last.ckpt config.yaml", "last.ckpt"},
		{"", "a.safetensors a.ckpt", "a.safetensors"},
		{"", "a.ckpt b.ckpt", ""},
		{"", "sub/a.ckpt", ""},
		{"sub", "sub/a.ckpt a.ckpt", "sub/a.ckpt"},
		{"b.ckpt", "a.ckpt b.ckpt", "b.ckpt"},
		{"c.ckpt", "a.ckpt b.ckpt", ""},
		{"", "README.md", ""},
		{"", "model.safetensors.index.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors x-00001-of-00002.safetensors config.json",
			"model.safetensors.index.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors config.json"},
	} {
		got, err := choose(Ref{Repo: "o/r", File: c.file}, strings.Fields(c.all))
		var e *ChoiceError
		if c.want == "" && (!errors.As(err, &e) || e.Hint() == "") || c.want != "" && (err != nil || strings.Join(got, " ") != c.want) {
			t.Errorf("%q of %s: %v, %v", c.file, c.all, got, err)
		}
	}
}

func TestGallery(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Gallery() {
		ref, err := ParseRef(e.Source)
		if err != nil || seen[e.Name] || store.CheckName(e.Name) != nil || e.About == "" {
			t.Errorf("%s: %v", e.Name, err)
		}
		seen[e.Name] = true
		if e.Kind != store.KindCLIP && e.Kind != store.KindVQGAN {
			t.Errorf("%s is a %q", e.Name, e.Kind)
		}
		if e.SHA256 != "" && !isHex(e.SHA256, 64) {
			t.Errorf("%s: bad hash", e.Name)
		}
		if e.Licence != "" && e.Basis == "" && ref.URL != "" {
			t.Errorf("%s: a licence without a basis", e.Name)
		}
		if got, ok := Find(e.Name); !ok || got != e {
			t.Errorf("%s is not found", e.Name)
		}
	}
	if len(seen) < 12 {
		t.Errorf("%d models", len(seen))
	}
	if _, ok := Find("nope"); ok {
		t.Error("found what is not there")
	}
	for licence, want := range map[string]bool{"MIT": false, "apache-2.0": false, "": true, "other": true, "creativeml-openrail-m": true, "cc-by-nc-4.0": true} {
		if NeedsAcceptance(licence) != want {
			t.Errorf("%q", licence)
		}
	}
}

func TestCards(t *testing.T) {
	for _, c := range []struct {
		raw, name, link string
		tags            []string
		want            string
	}{
		{`"mit"`, "", "", nil, "mit"},
		{`["mit","cc-by-4.0"]`, "", "", nil, "mit, cc-by-4.0"},
		{`"other"`, "my-terms", "", nil, "my-terms"},
		{``, "", "", []string{"x", "license:mit"}, "mit"},
		{`{}`, "", "", nil, ""},
	} {
		got, _ := card{Licence: []byte(c.raw), Name: c.name, Link: c.link}.licence(c.tags)
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.raw, got, c.want)
		}
	}
}
