package hub

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// weightNames are the names under which repositories keep a model's weights, best first. They are those of package
// weights for folders: what is chosen here is opened there.
var weightNames = []string{
	"model.safetensors", "model.safetensors.index.json",
	"diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors.index.json",
	"pytorch_model.bin", "pytorch_model.bin.index.json", "diffusion_pytorch_model.bin",
}

// companions are what model packages read beside the weights.
var companions = []string{"config.json", "preprocessor_config.json"}

// ChoiceError says that a repository's weights cannot be told from its file names.
type ChoiceError struct {
	Ref   Ref
	Found []string // weight files there are
}

func (e *ChoiceError) Error() string {
	where := "hf:" + e.Ref.Repo
	switch {
	case e.Ref.File != "":
		return fmt.Sprintf("%s has no weights %q", where, e.Ref.File)
	case len(e.Found) == 0:
		return where + " holds no weight file"
	}
	return fmt.Sprintf("%s holds several weight files and none of the usual names", where)
}

// Hint lists what there is.
func (e *ChoiceError) Hint() string {
	if len(e.Found) == 0 {
		return "look at the repository's files on its page"
	}
	most := min(len(e.Found), 6)
	more := ""
	if most < len(e.Found) {
		more = ", ..."
	}
	return fmt.Sprintf("name one: hf:%s:FILE, FILE one of %s%s", e.Ref.Repo, strings.Join(e.Found[:most], ", "), more)
}

// choose picks the files to fetch of a repository's: the weights first, with all shards, then what goes beside them.
func choose(ref Ref, all []string) ([]string, error) {
	main, err := chooseWeights(ref, all)
	if err != nil {
		return nil, err
	}
	out := []string{main}
	out = append(out, shardsOf(main, all)...)
	for _, c := range companions {
		if p := path.Join(path.Dir(main), c); slices.Contains(all, p) {
			out = append(out, p)
		}
	}
	return out, nil
}

func chooseWeights(ref Ref, all []string) (string, error) {
	if ref.File != "" && slices.Contains(all, ref.File) {
		return ref.File, nil
	}
	for _, name := range weightNames {
		if p := path.Join(ref.File, name); slices.Contains(all, p) {
			return p, nil
		}
	}
	e := &ChoiceError{Ref: ref}
	var here []string
	for _, p := range all {
		if !looksLikeWeights(p) {
			continue
		}
		e.Found = append(e.Found, p)
		if path.Dir(p) == path.Clean(ref.File) {
			here = append(here, p)
		}
	}
	slices.Sort(e.Found)
	if st := slices.DeleteFunc(slices.Clone(here), func(p string) bool { return path.Ext(p) != ".safetensors" }); len(st) == 1 {
		return st[0], nil
	}
	if len(here) == 1 {
		return here[0], nil
	}
	return "", e
}

func looksLikeWeights(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".safetensors", ".pt", ".pth", ".ckpt", ".bin":
		return true
	}
	return false
}

var shardName = regexp.MustCompile(`^-\d{5}-of-\d{5}\.(safetensors|bin)$`)

// indexSuffix ends the name of a file that says which tensors are in which shard.
const indexSuffix = ".index.json"

// shardsOf lists the files that an index is of.
func shardsOf(index string, all []string) []string {
	base, ok := strings.CutSuffix(index, indexSuffix)
	if !ok {
		return nil
	}
	stem := strings.TrimSuffix(base, path.Ext(base))
	var out []string
	for _, p := range all {
		if rest, ok := strings.CutPrefix(p, stem); ok && shardName.MatchString(rest) && path.Dir(p) == path.Dir(index) {
			out = append(out, p)
		}
	}
	return out
}
