package dataset

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// captions are what is known of the pictures of a set.
type captions struct {
	sidecars map[string][]string // by name without extension
	listed   map[string][]string // by name
	coco     map[string][]string // by the last part of the name
}

// Caps on files with captions, before they are read.
const (
	maxSidecarBytes = 1 << 20
	maxListBytes    = 1 << 30
)

// captionFields are the names under which lists and sidecars keep captions, the first that is there counts.
var captionFields = []string{"caption", "captions", "text", "texts", "prompt", "title", "description"}

// fileFields are the names under which lists keep the name of the picture's file.
var fileFields = []string{"file_name", "filename", "file", "image", "path"}

// captionsOf gathers captions. Those of a picture a/b.jpg are, the first that is there: the lines of a/b.txt; the field
// "caption" (or "text", ...) of a/b.json, a text or a list of texts; its row in metadata.jsonl or metadata.csv of its folder or
// one above, which has the fields "file_name" and "text" (or "caption", ...); its captions in COCO's format, in a
// file captions*.json; the words of its name.
func captionsOf(s *fileSet) (*captions, error) {
	c := &captions{map[string][]string{}, map[string][]string{}, map[string][]string{}}
	pictures := map[string]bool{}
	for _, f := range s.files {
		if slices.Contains(pictureTypes, f.ext()) {
			pictures[stem(f.name)] = true
		}
	}
	for _, f := range s.files {
		base := strings.ToLower(path.Base(f.name))
		var err error
		switch {
		case f.name == s.coco, s.coco == "" && strings.HasPrefix(base, "captions") && f.ext() == ".json" && !pictures[stem(f.name)]:
			err = c.readCOCO(f)
		case base == "metadata.jsonl":
			err = c.readLines(f)
		case base == "metadata.csv":
			err = c.readCSV(f)
		case f.ext() == ".txt" && pictures[stem(f.name)]:
			c.readText(f)
		case f.ext() == ".json" && pictures[stem(f.name)]:
			c.readJSON(f)
		}
		if err != nil {
			return nil, fmt.Errorf("captions in %s: %w", f.name, err)
		}
	}
	return c, nil
}

func stem(name string) string { return strings.TrimSuffix(name, path.Ext(name)) }

// of returns the captions of a picture, at least one.
func (c *captions) of(name string) []string {
	for _, found := range [][]string{c.sidecars[stem(name)], c.listed[name], c.coco[path.Base(name)]} {
		if len(found) > 0 {
			return found
		}
	}
	words := strings.NewReplacer("_", " ", "-", " ", ".", " ").Replace(path.Base(stem(name)))
	return []string{strings.Join(strings.Fields(words), " ")}
}

// contents reads a whole file of at most limit bytes.
func (f file) contents(limit int64) ([]byte, error) {
	if f.size > limit {
		return nil, fmt.Errorf("larger than %d MiB", limit>>20)
	}
	r, err := f.open()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, limit))
	return b, errors.Join(err, r.Close())
}

// tidy drops empty lines and what is no UTF-8.
func tidy(lines ...string) []string {
	var out []string
	for _, l := range lines {
		if l = strings.Join(strings.Fields(strings.ToValidUTF8(l, "")), " "); l != "" {
			out = append(out, l)
		}
	}
	return out
}

// readText reads a sidecar of lines. One that cannot be read counts as none.
func (c *captions) readText(f file) {
	if b, err := f.contents(maxSidecarBytes); err == nil {
		c.side(f.name, tidy(strings.Split(string(b), "\n")...), true)
	}
}

// readJSON reads a sidecar of JSON: an object with a caption, or a text or list of texts alone.
func (c *captions) readJSON(f file) {
	b, err := f.contents(maxSidecarBytes)
	if err != nil {
		return
	}
	var v any
	if json.Unmarshal(b, &v) != nil {
		return
	}
	if fields, ok := v.(map[string]any); ok {
		v = field(fields, captionFields)
	}
	c.side(f.name, texts(v), false)
}

// side notes a sidecar; lines win over JSON.
func (c *captions) side(name string, found []string, wins bool) {
	if len(found) > 0 && (wins || c.sidecars[stem(name)] == nil) {
		c.sidecars[stem(name)] = found
	}
}

// field is the first of the names that an object has.
func field(fields map[string]any, names []string) any {
	for _, n := range names {
		if v, ok := fields[n]; ok {
			return v
		}
	}
	return nil
}

// texts are a text or the texts of a list.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return tidy(v)
	case []any:
		var out []string
		for _, one := range v {
			if s, ok := one.(string); ok {
				out = append(out, tidy(s)...)
			}
		}
		return out
	}
	return nil
}

// list notes captions of a row of a list that lies in a folder.
func (c *captions) list(folder string, name any, found []string) {
	if s, ok := name.(string); ok && len(found) > 0 {
		full := path.Join(path.Dir(folder), s)
		c.listed[full] = append(c.listed[full], found...)
	}
}

// readLines reads one JSON object a line.
func (c *captions) readLines(f file) error {
	r, err := f.open()
	if err != nil {
		return err
	}
	defer r.Close()
	d := json.NewDecoder(io.LimitReader(r, maxListBytes))
	for row := 1; ; row++ {
		var fields map[string]any
		if err := d.Decode(&fields); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("row %d: %w", row, err)
		}
		c.list(f.name, field(fields, fileFields), texts(field(fields, captionFields)))
	}
}

// readCSV reads a table whose first row names its columns.
func (c *captions) readCSV(f file) error {
	r, err := f.open()
	if err != nil {
		return err
	}
	defer r.Close()
	t := csv.NewReader(io.LimitReader(r, maxListBytes))
	t.FieldsPerRecord = -1
	head, err := t.Read()
	if err != nil {
		return err
	}
	for i := range head {
		head[i] = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(head[i], "\ufeff")))
	}
	for {
		row, err := t.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		fields := map[string]any{}
		for i := range min(len(row), len(head)) {
			fields[head[i]] = row[i]
		}
		c.list(f.name, field(fields, fileFields), texts(field(fields, captionFields)))
	}
}

// readCOCO reads {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}.
func (c *captions) readCOCO(f file) error {
	r, err := f.open()
	if err != nil {
		return err
	}
	defer r.Close()
	var all struct {
		Images []struct {
			ID   json.Number `json:"id"`
			File string      `json:"file_name"`
		} `json:"images"`
		Annotations []struct {
			Image   json.Number `json:"image_id"`
			Caption string      `json:"caption"`
		} `json:"annotations"`
	}
	if err := json.NewDecoder(io.LimitReader(r, maxListBytes)).Decode(&all); err != nil {
		return err
	}
	names := make(map[json.Number]string, len(all.Images))
	for _, m := range all.Images {
		names[m.ID] = path.Base(m.File)
	}
	for _, a := range all.Annotations {
		if name, ok := names[a.Image]; ok {
			c.coco[name] = append(c.coco[name], tidy(a.Caption)...)
		}
	}
	return nil
}
