package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/store"
	"github.com/smalti/smalti/store/hub/hubtest"
)

func sumOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// content is n bytes that differ from place to place, so that a part in the wrong place shows.
func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 / 3 >> (i % 5))
	}
	return b
}

// testHub serves one repository o/r with weights of n bytes, a configuration and a card.
func testHub(t *testing.T, n int) (*hubtest.Hub, *Client, []byte) {
	t.Helper()
	data := content(n)
	root := t.TempDir()
	for name, b := range map[string][]byte{"model.safetensors": data, "config.json": []byte(`{"a":1}`), "card.json": []byte(`{"license":"mit"}`),
		"flax_model.msgpack": []byte("x"), "vae/diffusion_pytorch_model.bin": []byte("vae"), "vae/config.json": []byte("{}")} {
		write(t, filepath.Join(root, "o", "r", filepath.FromSlash(name)), b)
	}
	h := hubtest.New(root)
	t.Cleanup(h.Close)
	c := &Client{Endpoint: h.URL, Token: "hf_secret", Cache: t.TempDir(), Dir: t.TempDir(),
		Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
	return h, c, data
}

func write(t *testing.T, p string, b []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, b, 0o644)); err != nil {
		t.Fatal(err)
	}
}

func mustRef(t *testing.T, s string) Ref {
	t.Helper()
	r, err := ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func pull(t *testing.T, c *Client, ref, sum string, sink event.Sink) (*Fetched, Plan, error) {
	t.Helper()
	p, err := c.Plan(t.Context(), mustRef(t, ref), sum)
	if err != nil {
		return nil, p, err
	}
	f, err := c.Fetch(t.Context(), p, sink)
	return f, p, err
}

// left lists the files of the downloads' folder beside its lock.
func left(t *testing.T, c *Client) []string {
	t.Helper()
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.Name() != "lock" {
			out = append(out, e.Name())
		}
	}
	return out
}

func TestFetchARepository(t *testing.T) {
	h, c, data := testHub(t, 2*mib+17)
	var rec event.Recorder
	got, p, err := pull(t, c, "hf:o/r", "", &rec)
	if err != nil {
		t.Fatal(err)
	}
	if p.Licence != "mit" || p.Commit != hubtest.Commit || p.Source() != "hf:o/r@"+hubtest.Commit+":model.safetensors" || p.Gated {
		t.Errorf("plan %+v, source %s", p, p.Source())
	}
	if all, missing := p.Bytes(); all != int64(len(data))+7 || missing != all {
		t.Errorf("%d bytes, %d missing", all, missing)
	}
	if b, err := os.ReadFile(got.Path); err != nil || sumOf(b) != sumOf(data) || filepath.Base(got.Path) != "model.safetensors" {
		t.Errorf("weights at %s: %v", got.Path, err)
	}
	if b, err := os.ReadFile(filepath.Join(filepath.Dir(got.Path), "config.json")); err != nil || string(b) != `{"a":1}` {
		t.Errorf("configuration %q, %v", b, err)
	}
	if steps := rec.Events(event.Step); len(steps) != 2 || steps[1].Step != 2 || steps[1].Steps != 2 || steps[0].Text["unit"] != "MiB" {
		t.Errorf("progress %+v", steps)
	}
	for _, r := range h.Log() {
		if r.CDN && r.Key != "" || !r.CDN && r.Key != "Bearer hf_secret" {
			t.Errorf("token in the wrong place: %+v", r)
		}
	}
	if _, err := c.Fetch(t.Context(), p, nil); !errors.Is(err, store.ErrBusy) {
		t.Errorf("a second fetch at once: %v", err)
	}
	got.Discard()
	if l := left(t, c); len(l) != 0 {
		t.Errorf("left after Discard: %v", l)
	}
}

func TestFolderOfARepository(t *testing.T) {
	_, c, _ := testHub(t, 9)
	got, p, err := pull(t, c, "hf:o/r@main:vae", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Keep()
	if b, err := os.ReadFile(got.Path); err != nil || string(b) != "vae" || p.Files[0].Name != "vae/diffusion_pytorch_model.bin" || len(p.Files) != 2 {
		t.Errorf("%q, %v, files %+v", b, err, p.Files)
	}
}

// Shards come as a folder with an index of the name that package weights looks for.
func TestShards(t *testing.T) {
	h, c, _ := testHub(t, 9)
	for name, text := range map[string]string{"big.safetensors.index.json": "{}", "big-00001-of-00002.safetensors": "one", "big-00002-of-00002.safetensors": "two", "config.json": "{}"} {
		write(t, filepath.Join(h.Root, "o", "shards", name), []byte(text))
	}
	got, _, err := pull(t, c, "hf:o/shards:big.safetensors.index.json", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Discard()
	var names []string
	entries, _ := os.ReadDir(got.Path)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"big-00001-of-00002.safetensors", "big-00002-of-00002.safetensors", "config.json", "model.safetensors.index.json"}; !reflect.DeepEqual(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}

// A transfer that breaks is continued at once, byte by byte where it stopped.
func TestBrokenTransfersGoOn(t *testing.T) {
	h, c, data := testHub(t, 100_000)
	h.Cut = func(n int) int64 { return []int64{30_000, 25_000, 20_000, 0}[min(n, 3)] }
	got, _, err := pull(t, c, "hf:o/r", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Discard()
	if b, _ := os.ReadFile(got.Path); sumOf(b) != sumOf(data) {
		t.Error("the pieces do not make the file")
	}
	var ranges []string
	for _, r := range h.Log() {
		if r.CDN {
			ranges = append(ranges, r.Range)
		}
	}
	if want := []string{"", "bytes=30000-", "bytes=55000-", "bytes=75000-"}; !reflect.DeepEqual(ranges, want) {
		t.Errorf("ranges %q, want %q", ranges, want)
	}
}

// What one command left is continued by the next, and is never taken for the file.
func TestResumeInAnotherRun(t *testing.T) {
	h, c, data := testHub(t, 50_000)
	h.Cut = func(int) int64 { return 6_000 }
	_, p, err := pull(t, c, "hf:o/r", "", nil)
	var e *Error
	if !errors.As(err, &e) || e.Status != 0 || !strings.Contains(e.Hint(), "is kept") {
		t.Fatalf("a transfer that always breaks: %v", err)
	}
	part := "sha256-" + sumOf(data) + ".part"
	if l := left(t, c); !reflect.DeepEqual(l, []string{part}) {
		t.Fatalf("left %v", l)
	}
	if n := fileSize(filepath.Join(c.Dir, part)); n != attempts*6_000 {
		t.Fatalf("%d bytes were kept", n)
	}
	h.Cut = nil
	h.Log()
	got, err := c.Fetch(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Discard()
	if b, _ := os.ReadFile(got.Path); sumOf(b) != sumOf(data) {
		t.Error("the resumed file is another")
	}
	if !slices.ContainsFunc(h.Log(), func(r hubtest.Request) bool { return r.Range == "bytes=30000-" }) {
		t.Error("nothing was resumed")
	}
}

// A damaged partial file, or one that is too long, costs a second transfer and nothing else.
func TestDamagedPartialFiles(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"other bytes": func(b []byte) []byte { return make([]byte, len(b)/2) },
		"too long":    func(b []byte) []byte { return append(slices.Clone(b), 'x') },
		"whole, damaged": func(b []byte) []byte {
			b = slices.Clone(b)
			b[5] ^= 1
			return b
		},
		"whole": slices.Clone[[]byte],
	} {
		_, c, data := testHub(t, 5_000)
		write(t, filepath.Join(c.Dir, "sha256-"+sumOf(data)+".part"), damage(data))
		got, _, err := pull(t, c, "hf:o/r", "", nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b, _ := os.ReadFile(got.Path); sumOf(b) != sumOf(data) {
			t.Errorf("%s: another file", name)
		}
		got.Discard()
	}
}

func TestWrongContentIsNotKept(t *testing.T) {
	h, c, data := testHub(t, 5_000)
	h.Answer = func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		if cdn {
			w.Write(make([]byte, len(data)))
		}
		return cdn
	}
	_, _, err := pull(t, c, "hf:o/r", "", nil)
	var wrong *HashError
	if !errors.As(err, &wrong) || wrong.Want != sumOf(data) || len(left(t, c)) != 0 {
		t.Errorf("%v, left %v", err, left(t, c))
	}
	_, _, err = pull(t, c, "hf:o/r", strings.Repeat("a", 64), nil)
	if !errors.As(err, &wrong) || wrong.Got != sumOf(data) {
		t.Errorf("a --sha256 that the hub contradicts: %v", err)
	}
	h.Answer = func(w http.ResponseWriter, _ *http.Request, cdn bool) bool {
		if cdn {
			w.(http.Flusher).Flush() // without a length
			io.Copy(w, strings.NewReader(strings.Repeat("x", 9_000)))
		}
		return cdn
	}
	var long *SizeError
	if _, _, err = pull(t, c, "hf:o/r", "", nil); !errors.As(err, &long) {
		t.Errorf("more than was announced: %v", err)
	}
}

func TestRefusalsOfTheServer(t *testing.T) {
	for _, c := range []struct {
		status int
		header http.Header
		hint   string
		asked  int // requests until it is given up
	}{
		{401, nil, "HF_TOKEN is not accepted", 1},
		{403, nil, "may not read", 1},
		{403, http.Header{"X-Error-Code": {"GatedRepo"}}, "accept the repository's terms", 1},
		{404, nil, "spelling", 1},
		{429, http.Header{"Retry-After": {"7"}}, "patience", attempts},
		{429, http.Header{"Retry-After": {"7000"}}, "patience", 1},
		{500, nil, "trouble", attempts},
		{503, nil, "trouble", attempts},
		{418, nil, "check the address", 1},
	} {
		h, client, _ := testHub(t, 10)
		var waits []time.Duration
		client.Pause = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
		h.Answer = func(w http.ResponseWriter, _ *http.Request, _ bool) bool {
			for k, v := range c.header {
				w.Header()[k] = v
			}
			w.Header().Set("X-Error-Message", "no\nway")
			w.WriteHeader(c.status)
			return true
		}
		_, _, err := pull(t, client, "hf:o/r", "", nil)
		var e *Error
		if !errors.As(err, &e) || e.Status != c.status || !strings.Contains(e.Hint(), c.hint) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "no way") {
			t.Errorf("%d: %v (hint %q)", c.status, err, e.Hint())
		}
		if n := len(h.Log()); n != c.asked || len(waits) != n-1 {
			t.Errorf("%d: asked %d times with %v, want %d", c.status, n, waits, c.asked)
		}
		if c.status == 429 && len(waits) > 0 && waits[0] != 7*time.Second {
			t.Errorf("the server's pause is not kept: %v", waits)
		}
		client.Token = ""
		if _, _, err = pull(t, client, "hf:o/r", "", nil); c.status == 401 && !strings.Contains(err.(*Error).Hint(), "needs HF_TOKEN") {
			t.Errorf("401 without a token: %v", err)
		}
	}
}

// A server in trouble for a moment is asked again.
func TestTroubleThatPasses(t *testing.T) {
	h, c, _ := testHub(t, 10)
	n := 0
	h.Answer = func(w http.ResponseWriter, _ *http.Request, _ bool) bool {
		if n++; n%3 == 1 { // each request once, whichever host it asks
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	}
	got, _, err := pull(t, c, "hf:o/r", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	got.Discard()
}

func TestRedirects(t *testing.T) {
	h, c, _ := testHub(t, 100)
	for _, to := range []string{"file:///etc/passwd", "ftp://127.0.0.1/x", "http://example.invalid/x", "https://user:pw@example.invalid/", "//", h.URL + "/loop"} {
		h.Answer = func(w http.ResponseWriter, r *http.Request, _ bool) bool {
			if strings.Contains(r.URL.Path, "/resolve/") || r.URL.Path == "/loop" {
				w.Header().Set("Location", to)
				w.WriteHeader(http.StatusFound)
				return true
			}
			return false
		}
		h.Log()
		_, _, err := pull(t, c, "hf:o/r", "", nil)
		if !errors.Is(err, errRedirect) {
			t.Errorf("to %s: %v", to, err)
		}
		if n := len(h.Log()); n > 2+maxRedirects {
			t.Errorf("to %s: %d requests", to, n)
		}
	}
}

func TestAddresses(t *testing.T) {
	data := content(3000)
	withLength := true
	var ranges []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token went to another host")
		}
		ranges = append(ranges, r.Header.Get("Range"))
		if withLength {
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(data)))
			return
		}
		w.(http.Flusher).Flush()
		w.Write(data)
	}))
	defer s.Close()
	_, c, _ := testHub(t, 1)
	address := s.URL + "/models/last.ckpt?key=private"
	for _, withLength = range []bool{true, false} {
		got, p, err := pull(t, c, address, strings.ToUpper(sumOf(data)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(got.Path); sumOf(b) != sumOf(data) || filepath.Base(got.Path) != "last.ckpt" || strings.Contains(p.Source(), "private") {
			t.Errorf("%s: %s", p.Source(), got.Path)
		}
		got.Discard()
	}
	// The whole file as a partial one, of unknown size: the server has nothing to add.
	withLength = true
	write(t, filepath.Join(c.Dir, "sha256-"+sumOf(data)+".part"), data)
	ranges = nil
	got, _, err := pull(t, c, address, sumOf(data), nil)
	if err != nil || !reflect.DeepEqual(ranges, []string{"bytes=3000-"}) {
		t.Fatalf("%v, ranges %q", err, ranges)
	}
	got.Keep()
	// Kept and whole: fetched no more, not even asked for.
	c.Offline, ranges = true, nil
	if got, _, err = pull(t, c, address, sumOf(data), nil); err != nil || len(ranges) != 0 {
		t.Fatalf("%v, ranges %q", err, ranges)
	}
	got.Discard()
	if _, _, err = pull(t, c, address, sumOf(data), nil); !errors.Is(err, ErrOffline) {
		t.Errorf("offline: %v", err)
	}
	c.Offline = false
	var wrong *HashError
	if _, _, err = pull(t, c, address, "", nil); !errors.As(err, &wrong) || !strings.Contains(wrong.Hint(), "--sha256") {
		t.Errorf("without a hash: %v", err)
	}
	if _, _, err = pull(t, c, address, "abc", nil); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "64") {
		t.Errorf("a bad hash: %v", err)
	}
	c.MaxBytes = 2000
	var long *SizeError
	for _, withLength = range []bool{true, false} {
		if _, _, err = pull(t, c, address, sumOf(data), nil); !errors.As(err, &long) {
			t.Errorf("a file over the cap: %v", err)
		}
	}
}

func TestAStalledTransferIsBrokenOff(t *testing.T) {
	h, c, data := testHub(t, 4_000)
	c.Stall = 50 * time.Millisecond
	release := make(chan struct{})
	stalled := false
	h.Answer = func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		if !cdn || stalled {
			return false
		}
		stalled = true
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data[:1000])
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	}
	defer close(release)
	got, _, err := pull(t, c, "hf:o/r", "", nil)
	if err != nil || !stalled {
		t.Fatal(err, stalled)
	}
	got.Discard()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Plan(ctx, mustRef(t, "hf:o/r"), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
