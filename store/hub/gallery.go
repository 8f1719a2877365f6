package hub

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
	"sync"
)

//go:embed gallery.json
var galleryJSON []byte

// Entry is a well-known model of the gallery. What nobody could state for certain is left empty, never guessed.
type Entry struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Source  string `json:"source"` // for ParseRef, or an address of an archive (see Unpack)
	SHA256  string `json:"sha256,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	Licence string `json:"licence,omitempty"`
	Basis   string `json:"basis,omitempty"` // why that licence, where the repository does not say it itself
	About   string `json:"about"`
	Unpack  string `json:"unpack,omitempty"` // for archives: the file inside that `models import` takes
}

type galleryFile struct {
	Hub    string  `json:"hub"` // where hf:OWNER/NAME is looked for
	Models []Entry `json:"models"`
}

// gallery reads the file that is part of the program; a test holds it to its form.
var gallery = sync.OnceValue(func() galleryFile {
	var g galleryFile
	if err := json.Unmarshal(galleryJSON, &g); err != nil {
		panic("hub: gallery.json: " + err.Error())
	}
	return g
})

// Gallery lists well-known models, as the file has them.
func Gallery() []Entry { return slices.Clone(gallery().Models) }

// Find returns the gallery's model of a name.
func Find(name string) (Entry, bool) {
	for _, e := range gallery().Models {
		if e.Name == name {
			return e, true
		}
	}
	return Entry{}, false
}

// free are licences that ask nothing before use: whoever keeps the notice may do what they want.
var free = []string{
	"mit", "apache-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "cc0-1.0", "cc-by-3.0", "cc-by-4.0",
	"cc-by-sa-3.0", "cc-by-sa-4.0", "wtfpl", "zlib", "mit-0", "0bsd",
}

// NeedsAcceptance says whether a licence is to be agreed to before a model under it is fetched: any that is unknown, or
// not one of the common free ones.
func NeedsAcceptance(licence string) bool {
	return !slices.Contains(free, strings.ToLower(licence))
}
