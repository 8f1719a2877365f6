package hub

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/smalti/smalti/store"
)

// File is one file of a plan.
type File struct {
	Name   string // in the repository; slashes separate folders
	Size   int64  // bytes; -1 is unknown
	SHA256 string // 64 digits, or "" if only Git is known
	Git    string // git's name of the content (40 digits), for the small files that a hub keeps in git itself
	Have   string // where the file lies on this machine already, or ""

	url string
}

// key names the file's content; it is also a file name.
func (f File) key() string {
	if f.SHA256 != "" {
		return "sha256-" + f.SHA256
	}
	return "git-" + f.Git
}

// Plan is what a fetch would bring.
type Plan struct {
	Ref     Ref
	Commit  string // of a repository; pins what is fetched
	Files   []File // the weights first
	Licence string // as the repository's card says, "" if it does not
	Terms   string // address of the licence's text, if the card names one
	Gated   bool   // the hub wants its terms accepted on its page
}

// Source says where the plan's model comes from, exactly: with the commit and the file.
func (p Plan) Source() string {
	if p.Ref.URL != "" {
		return p.Ref.String()
	}
	return Ref{Repo: p.Ref.Repo, Revision: p.Commit, File: p.Files[0].Name}.String()
}

// Bytes counts what the files have and what of that is not here yet, as far as sizes are known.
func (p Plan) Bytes() (all, missing int64) {
	for _, f := range p.Files {
		n := max(f.Size, 0)
		all += n
		if f.Have == "" {
			missing += n
		}
	}
	return all, missing
}

// ErrOffline says that something is not on this machine and that nobody may be asked.
var ErrOffline = errors.New("not on this machine, and fetching is switched off")

// Plan finds out what a fetch of ref would bring. sum is the sha256 that the weights must have; an address needs one,
// a repository says its own and may be held to it.
func (c *Client) Plan(ctx context.Context, ref Ref, sum string) (Plan, error) {
	sum = strings.ToLower(strings.TrimPrefix(sum, "sha256:"))
	if sum != "" && !isHex(sum, 64) {
		return Plan{}, &HashError{Want: sum}
	}
	var p Plan
	var err error
	switch {
	case ref.URL != "":
		return c.planURL(ref, sum)
	case c.Offline:
		p, err = c.planCached(ref)
	default:
		p, err = c.planRepo(ctx, ref)
	}
	if err != nil {
		return Plan{}, err
	}
	if f := &p.Files[0]; sum != "" {
		if f.SHA256 != "" && f.SHA256 != sum {
			return Plan{}, &HashError{Name: f.Name, Want: sum, Got: f.SHA256}
		}
		f.SHA256 = sum
	}
	for _, f := range p.Files {
		if f.Size > c.limit() {
			return Plan{}, &SizeError{f.Name, f.Size, c.limit()}
		}
		if f.SHA256 == "" && f.Git == "" {
			return Plan{}, &HashError{Name: f.Name}
		}
	}
	return p, nil
}

func (c *Client) planURL(ref Ref, sum string) (Plan, error) {
	if sum == "" {
		return Plan{}, &HashError{Name: ref.String()}
	}
	f := File{Name: fileOf(ref.URL), Size: -1, SHA256: sum, url: ref.URL}
	if info, err := os.Stat(filepath.Join(c.Dir, f.key())); err == nil {
		f.Have, f.Size = filepath.Join(c.Dir, f.key()), info.Size()
	} else if c.Offline {
		return Plan{}, fmt.Errorf("%s: %w", ref, ErrOffline)
	}
	return Plan{Ref: ref, Files: []File{f}}, nil
}

// repoInfo is what smalti reads of the hub's answer about a repository.
type repoInfo struct {
	SHA      string          `json:"sha"`
	Gated    json.RawMessage `json:"gated"` // false, "auto" or "manual"
	Tags     []string        `json:"tags"`
	Card     card            `json:"cardData"`
	Siblings []struct {
		Name string `json:"rfilename"`
		Size *int64 `json:"size"`
		Blob string `json:"blobId"`
		LFS  *struct {
			SHA256 string `json:"sha256"`
			Size   int64  `json:"size"`
		} `json:"lfs"`
	} `json:"siblings"`
}

type card struct {
	Licence json.RawMessage `json:"license"` // one word, or several
	Name    string          `json:"license_name"`
	Link    string          `json:"license_link"`
}

const maxInfo = 32 << 20 // bytes of the hub's answer about a repository

func (c *Client) planRepo(ctx context.Context, ref Ref) (Plan, error) {
	raw, err := c.read(ctx, c.Endpoint+"/api/models/"+escaped(ref.Repo)+"/revision/"+url.PathEscape(ref.Revision)+"?blobs=true", maxInfo)
	if err != nil {
		return Plan{}, err
	}
	var info repoInfo
	if err := json.Unmarshal(raw, &info); err != nil {
		return Plan{}, fmt.Errorf("fetch hf:%s: the hub's answer cannot be read: %w", ref.Repo, err)
	}
	if !plainPath(info.SHA) {
		return Plan{}, fmt.Errorf("fetch hf:%s: the hub names no commit", ref.Repo)
	}
	byName := map[string]File{}
	var names []string
	for _, s := range info.Siblings {
		if !plainPath(s.Name) {
			continue // never fetched
		}
		f := File{Name: s.Name, Size: -1, url: c.Endpoint + "/" + escaped(ref.Repo) + "/resolve/" + url.PathEscape(info.SHA) + "/" + escaped(s.Name)}
		if s.Size != nil {
			f.Size = *s.Size
		}
		if s.LFS != nil && isHex(s.LFS.SHA256, 64) {
			f.SHA256, f.Size = s.LFS.SHA256, s.LFS.Size
		} else if isHex(s.Blob, 40) && s.LFS == nil {
			f.Git = s.Blob
		}
		byName[s.Name] = f
		names = append(names, s.Name)
	}
	chosen, err := choose(ref, names)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Ref: ref, Commit: info.SHA, Gated: !slices.Contains([]string{"", "false", "null"}, string(info.Gated))}
	p.Licence, p.Terms = info.Card.licence(info.Tags)
	for _, name := range chosen {
		f := byName[name]
		if err := c.complete(ctx, &f); err != nil {
			return Plan{}, err
		}
		if at, err := store.FindHF(c.Cache, ref.Repo+"@"+info.SHA, name); err == nil {
			f.Have = at
		}
		p.Files = append(p.Files, f)
	}
	return p, nil
}

// complete asks for the hash and size of a file that the list of files did not say.
func (c *Client) complete(ctx context.Context, f *File) error {
	if (f.SHA256 != "" || f.Git != "") && f.Size >= 0 {
		return nil
	}
	res, err := c.do(ctx, http.MethodHead, f.url, http.Header{"Accept-Encoding": {"identity"}})
	if err != nil {
		return err
	}
	res.Body.Close()
	tag, size := res.Header.Get("X-Linked-Etag"), res.Header.Get("X-Linked-Size")
	if tag == "" {
		tag, size = res.Header.Get("Etag"), res.Header.Get("Content-Length")
	}
	tag = strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
	switch {
	case isHex(tag, 64):
		f.SHA256, f.Git = tag, ""
	case isHex(tag, 40):
		f.Git = tag
	}
	if n, err := strconv.ParseInt(size, 10, 64); err == nil && n >= 0 {
		f.Size = n
	}
	return nil
}

// licence reads a card's words, with a tag of the repository for want of them.
func (k card) licence(tags []string) (name, terms string) {
	var one string
	var many []string
	switch {
	case json.Unmarshal(k.Licence, &one) == nil && one != "":
	case json.Unmarshal(k.Licence, &many) == nil:
		one = strings.Join(many, ", ")
	}
	if one == "other" && k.Name != "" {
		one = k.Name
	}
	for _, t := range tags {
		if rest, ok := strings.CutPrefix(t, "license:"); ok && one == "" {
			one = rest
		}
	}
	return shorten(one), shorten(k.Link)
}

// planCached plans with what the hub's other clients have fetched.
func (c *Client) planCached(ref Ref) (Plan, error) {
	commit, names, err := store.ListHF(c.Cache, ref.Repo+"@"+ref.Revision)
	if errors.Is(err, fs.ErrNotExist) {
		return Plan{}, fmt.Errorf("%s: %w", ref, ErrOffline)
	}
	if err != nil {
		return Plan{}, err
	}
	chosen, err := choose(ref, names)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Ref: ref, Commit: commit}
	for _, name := range chosen {
		f := File{Name: name, Size: -1}
		if f.Have, err = store.FindHF(c.Cache, ref.Repo+"@"+commit, name); err != nil {
			return Plan{}, err
		}
		if info, err := os.Stat(f.Have); err == nil {
			f.Size = info.Size()
		}
		f.SHA256, f.Git = hashOfBlob(f.Have)
		p.Files = append(p.Files, f)
	}
	if readme, err := store.FindHF(c.Cache, ref.Repo+"@"+commit, "README.md"); err == nil {
		p.Licence = licenceOfCard(readme)
	}
	return p, nil
}

// hashOfBlob reads the hash of a cached file off the name of the blob that it is a link to.
func hashOfBlob(at string) (sum, git string) {
	real, err := filepath.EvalSymlinks(at)
	if err != nil || filepath.Base(filepath.Dir(real)) != "blobs" {
		return "", ""
	}
	switch name := filepath.Base(real); {
	case isHex(name, 64):
		return name, ""
	case isHex(name, 40):
		return "", name
	}
	return "", ""
}

// licenceOfCard finds the licence in the front matter of a repository's README, in its simple form.
func licenceOfCard(readme string) string {
	f, err := os.Open(readme)
	if err != nil {
		return ""
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for n := 0; s.Scan() && n < 200; n++ {
		line := strings.TrimRight(s.Text(), " \r")
		if n == 0 && line != "---" || n > 0 && line == "---" {
			return ""
		}
		if rest, ok := strings.CutPrefix(line, "license:"); ok {
			return shorten(strings.Trim(strings.TrimSpace(rest), `"'`))
		}
	}
	return ""
}

// escaped escapes the parts of a path for an address.
func escaped(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// isHex reports n digits of lower-case hexadecimal.
func isHex(s string, n int) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == n
}
