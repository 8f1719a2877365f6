package hub

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strings"
)

// Ref says where a model is: in a repository of the hub, or at an address.
type Ref struct {
	Repo     string // "owner/name", or "name"
	Revision string // branch, tag or commit; "main" if none was given
	File     string // a weight file or a folder of the repository; "" lets the hub's customs choose

	URL string // of one file elsewhere; then the others are empty
}

// String writes a Ref as ParseRef reads it. Of an address the query is left out: it may hold a secret.
func (r Ref) String() string {
	if r.URL != "" {
		return plainURL(r.URL)
	}
	s := "hf:" + r.Repo
	if r.Revision != "main" {
		s += "@" + r.Revision
	}
	if r.File != "" {
		s += ":" + r.File
	}
	return s
}

// RefError says that something names no place to fetch from.
type RefError struct{ Ref, Why string }

func (e *RefError) Error() string { return fmt.Sprintf("%q: %s", e.Ref, e.Why) }

// Hint says what to write.
func (e *RefError) Hint() string {
	return "write hf:OWNER/NAME, hf:OWNER/NAME@REVISION:FILE, an https address, or a name of `smalti models gallery`"
}

// ParseRef reads hf:OWNER/NAME[@REVISION][:FILE] or an https address (http is for this very machine). The error is a
// *RefError.
func ParseRef(s string) (Ref, error) {
	if rest, ok := strings.CutPrefix(s, "hf:"); ok {
		return parseHF(s, rest)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "":
		return Ref{}, &RefError{s, "no place to fetch from"}
	case u.User != nil:
		return Ref{}, &RefError{plainURL(s), "an address with a password in it"}
	case !safeURL(u):
		return Ref{}, &RefError{plainURL(s), "only https is fetched"}
	}
	u.Fragment = ""
	return Ref{URL: u.String()}, nil
}

func parseHF(whole, s string) (Ref, error) {
	s, file, hasFile := strings.Cut(s, ":")
	repo, revision, hasRevision := strings.Cut(s, "@")
	if !hasRevision {
		revision = "main"
	}
	file = strings.TrimSuffix(file, "/")
	for _, p := range []string{repo, revision} {
		if !plainPath(p) {
			return Ref{}, &RefError{whole, fmt.Sprintf("bad name %q", p)}
		}
	}
	if hasFile && !plainPath(file) {
		return Ref{}, &RefError{whole, fmt.Sprintf("bad file name %q", file)}
	}
	if strings.Count(repo, "/") > 1 || strings.Contains(repo, "--") {
		return Ref{}, &RefError{whole, fmt.Sprintf("bad repository %q", repo)}
	}
	return Ref{Repo: repo, Revision: revision, File: file}, nil
}

// plainPath reports a relative path without surprises: no "..", no backslash, no control characters, no query.
func plainPath(p string) bool {
	if !fs.ValidPath(p) || p == "." || strings.ContainsAny(p, "\\?#%:\"<>|*") {
		return false
	}
	for _, c := range p {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// plainURL is an address without query, password and fragment, for showing and keeping.
func plainURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "an address that cannot be read"
	}
	u.User, u.RawQuery, u.Fragment, u.ForceQuery = nil, "", "", false
	return u.String()
}

// fileOf is the name under which the file at an address is kept.
func fileOf(address string) string {
	if u, err := url.Parse(address); err == nil {
		if base := path.Base(u.Path); plainPath(base) && !strings.Contains(base, "/") {
			return base
		}
	}
	return "model"
}
