package store

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// NameError says that a name cannot be a model's.
type NameError struct{ Name string }

func (e *NameError) Error() string {
	return fmt.Sprintf("bad model name %q: use letters, digits, '.', '_', '-' and '/' between parts, each part starting with a letter or digit", e.Name)
}

// BuiltinPrefix starts the names of models that are part of the program, and of no others.
const BuiltinPrefix = "builtin/"

// CheckName returns a *NameError unless name is one to four parts of letters, digits, '.', '_' and '-', joined by
// slashes, at most 128 characters in all. Parts start with a letter or digit, so none is ".." or hidden, and do not
// end in ".json", so that a model is never mistaken for a folder of models.
func CheckName(name string) error {
	parts := strings.Split(name, "/")
	ok := len(name) <= 128 && len(parts) <= 4
	for _, p := range parts {
		ok = ok && plainPart(p) && !strings.HasSuffix(strings.ToLower(p), ".json")
	}
	if !ok {
		return &NameError{name}
	}
	return nil
}

// plainPart reports a part of a name that means the same on every file system.
func plainPart(p string) bool {
	for i := range len(p) {
		c := p[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return p != "" && !strings.HasSuffix(p, ".")
}

// checkFileName is for names inside a manifest, which never become paths of ours but may be shown and compared.
func checkFileName(name string) error {
	ok := name != "" && len(name) <= 255
	for _, p := range strings.Split(name, "/") {
		ok = ok && p != "" && p != "." && p != ".." && !strings.ContainsAny(p, "\\\x00\n\r\x1b")
	}
	if !ok {
		return fmt.Errorf("bad file name %q", name)
	}
	return nil
}

// NotFoundError says that no model has the name.
type NotFoundError struct {
	Name  string
	Known []string // names of the models there are
}

func (e *NotFoundError) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("no model %q, and no others", e.Name)
	}
	return fmt.Sprintf("no model %q (there are %s)", e.Name, strings.Join(e.Known, ", "))
}

// Similar returns up to n known names that are near a name that was not found, nearest first.
func (e *NotFoundError) Similar(n int) []string {
	type scored struct {
		name string
		d    int
	}
	var all []scored
	for _, k := range e.Known {
		if d := editDistance(strings.ToLower(e.Name), strings.ToLower(path.Base(k))); d <= 2 || strings.Contains(strings.ToLower(k), strings.ToLower(e.Name)) {
			all = append(all, scored{k, d})
		} else if d := editDistance(strings.ToLower(e.Name), strings.ToLower(k)); d <= 3 {
			all = append(all, scored{k, d})
		}
	}
	slices.SortStableFunc(all, func(a, b scored) int { return a.d - b.d })
	var out []string
	for _, s := range all[:min(n, len(all))] {
		out = append(out, s.name)
	}
	return out
}

// editDistance counts insertions, deletions and substitutions (Levenshtein 1966).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
