// Package builtin holds the models that are part of the program, so that a first picture needs no download. Only
// cmd/smalti imports it. models/NOTICE says what they were trained on; docs/builtin.md how, and how well they do.
package builtin

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/smalti/smalti/store"
)

//go:embed models
var files embed.FS

// entry is a model in models/index.json.
type entry struct {
	Name    string `json:"name"` // without the prefix "builtin/"
	Kind    string `json:"kind"`
	Version string `json:"version"`
	File    string `json:"file"` // in models/
	Source  string `json:"source"`
	Licence string `json:"licence"`
}

// Models lists the built-in models. The configuration travels in the metadata of each weight file.
var Models = sync.OnceValue(func() []store.Builtin {
	data, err := files.ReadFile("models/index.json")
	if err != nil {
		panic(err) // part of the program
	}
	var entries []entry
	if err := json.Unmarshal(data, &entries); err != nil {
		panic(fmt.Errorf("builtin: index.json: %w", err))
	}
	out := make([]store.Builtin, len(entries))
	for i, e := range entries {
		weights, err := files.ReadFile("models/" + e.File)
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(weights)
		out[i] = store.Builtin{Name: store.BuiltinPrefix + e.Name, Kind: e.Kind, Version: e.Version, SHA256: hex.EncodeToString(sum[:]),
			Size: int64(len(weights)), Source: e.Source, Licence: e.Licence, Open: func() ([]byte, error) { return weights, nil }}
	}
	return out
})
