package spec

// Spread is a start from a PCA of pictures: its coefficients are Spread times a normal number each, drawn by the job's seed.
type Spread struct {
	PCA    ModelRef `json:"pca"`
	Spread float64  `json:"spread"` // 0 is the mean picture, 1 as different as pictures are
}

// DefaultSpread is that of the built-in PCA. A third of what pictures differ by gives one blob in the middle; more gives pieces.
func DefaultSpread() Spread { return Spread{PCA: ModelRef{Name: "builtin/pca"}, Spread: 0.3} }

func (s *Spread) validate() error {
	if s.PCA.Name == "" {
		return Refuse("--pca names no model", "run: smalti models list")
	}
	return within("--spread", s.Spread, 0, 10)
}

// Usual keeps the latent where pictures lie, as a PCA knows them.
type Usual struct {
	Weight float64  `json:"weight"` // of the mean squared distance from the mean, each direction in its own deviation
	PCA    ModelRef `json:"pca"`
}

func (u *Usual) validate() error {
	switch {
	case u == nil:
		return nil
	case u.PCA.Name == "":
		return Refuse("--pca names no model", "run: smalti models list")
	}
	return within("--pca-weight", u.Weight, 0, 1e6)
}

// Memory is a start from training pictures that an index holds.
type Memory struct {
	Index  ModelRef `json:"index"`
	Prompt string   `json:"prompt"`           // what is looked for
	Ground string   `json:"ground,omitempty"` // name of the colour behind the pictures; white when absent
	Found  []Kept   `json:"found,omitempty"`  // the pictures; absent until they are found
}

// Kept is a training picture in its place.
type Kept struct {
	Number int    `json:"number"` // in the index
	Label  string `json:"label"`
	Style  string `json:"style"`
	Colour string `json:"colour,omitempty"` // that it was given
	Place  Place  `json:"place"`
}

// Place is a square of a picture: its middle in shares of width and height, its side in shares of the shorter of them.
type Place struct {
	X    float64 `json:"x"`
	Y    float64 `json:"y"`
	Side float64 `json:"side"`
}

// WholePlace is the largest square in the middle.
var WholePlace = Place{X: .5, Y: .5, Side: 1}

// DefaultMemory is that of the built-in index.
func DefaultMemory() Memory { return Memory{Index: ModelRef{Name: "builtin/index"}} }

func (m *Memory) validate() error {
	if m.Index.Name == "" {
		return Refuse("--index names no model", "run: smalti models list")
	}
	if len(m.Found) > 16 {
		return Refusef("use 16 at most", "a start of %d pictures", len(m.Found))
	}
	for _, k := range m.Found {
		for name, v := range map[string]float64{"x": k.Place.X, "y": k.Place.Y, "side": k.Place.Side} {
			if err := within("start.memory: "+name, v, 0, 4); err != nil {
				return err
			}
		}
	}
	return nil
}
