package weights

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// folderNames are the names under which the Hugging Face libraries keep a model's weights, best first.
var folderNames = []string{
	"model.safetensors",
	"model.safetensors.index.json",
	"diffusion_pytorch_model.safetensors",
	"diffusion_pytorch_model.safetensors.index.json",
	"pytorch_model.bin",
	"pytorch_model.bin.index.json",
	"diffusion_pytorch_model.bin",
}

// openFolder opens the weights in a folder: the first of folderNames, else the only *.safetensors file.
func openFolder(dir string) (*File, error) {
	for _, name := range folderNames {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return Open(path)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".safetensors") {
			found = append(found, e.Name())
		}
	}
	switch len(found) {
	case 0:
		return nil, formatf("no weights in the folder (looked for %s, ...)", strings.Join(folderNames[:3], ", "))
	case 1:
		return Open(filepath.Join(dir, found[0]))
	}
	return nil, formatf("%d weight files in the folder, name one of them: %s", len(found), firstOf(found))
}

// openIndex opens the files that a shard index names, which must lie in the same folder and hold exactly the tensors
// that the index says.
func openIndex(path string, data []byte) (_ *File, err error) {
	if len(data) > maxHeader {
		return nil, formatf("shard index of %d bytes is over the limit of %d", len(data), maxHeader)
	}
	var index struct {
		Weights map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, formatf("shard index: %w", err)
	}
	if len(index.Weights) == 0 {
		return nil, formatf("not a weight file: JSON without a weight_map")
	}
	out := &File{format: Sharded, tensors: make(map[string]*Tensor), meta: make(map[string]string)}
	defer func() {
		if err != nil {
			out.Close()
		}
	}()
	shards := make(map[string]bool)
	for _, name := range index.Weights {
		shards[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(shards)) {
		if err := out.addShard(filepath.Dir(path), name, index.Weights); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(index.Weights)) {
		if _, ok := out.tensors[name]; !ok {
			return nil, formatf("shard index: %s lacks tensor %q", index.Weights[name], name)
		}
	}
	slices.Sort(out.names)
	return out, nil
}

// addShard adds the tensors of one file of a sharded model.
func (f *File) addShard(dir, name string, want map[string]string) error {
	if name != filepath.Base(name) || !filepath.IsLocal(name) {
		return formatf("shard index: %q is not the name of a file in the same folder", name)
	}
	m, err := openMapping(filepath.Join(dir, name))
	if err != nil {
		return fmt.Errorf("shard index: %s: %w", name, err)
	}
	shard, err := own(m) // knows no indexes, so an index cannot name itself
	if err != nil {
		return formatf("shard index: %s: %w", name, err)
	}
	f.closers = append(f.closers, shard)
	for _, n := range shard.names {
		if want[n] != name {
			return formatf("shard index: %s holds tensor %q, which the index does not place there", name, n)
		}
		f.tensors[n] = shard.tensors[n]
		f.names = append(f.names, n)
	}
	maps.Copy(f.meta, shard.meta)
	return nil
}
