package dataset

// PackInfo sums up a pack for people.
type PackInfo struct {
	Manifest Manifest
	Pictures int
	Concepts int            // distinct concepts
	Labels   int            // distinct captions' nouns
	Styles   map[string]int // pictures by drawing style
	Licences map[string]int // pictures by licence
	Groups   map[string]int // pictures by group
	Train    int            // pictures of the three splits
	HeldOut  int            // of held-out concepts
	Style    int            // of the held-out style
	HeldIDs  int            // number of held-out concepts
}

// Info checks a pack folder and counts what is in it, without decoding pictures.
func Info(dir string) (PackInfo, error) {
	m, err := readManifest(dir)
	if err != nil {
		return PackInfo{}, err
	}
	pairs, err := readPairs(dir)
	if err != nil {
		return PackInfo{}, err
	}
	info := PackInfo{Manifest: m, Pictures: len(pairs), Styles: map[string]int{}, Licences: map[string]int{}, Groups: map[string]int{}}
	concepts, labels := map[string]bool{}, map[string]bool{}
	sprites := make([]*Sprite, len(pairs))
	for i, p := range pairs {
		info.Styles[p.Style]++
		info.Licences[p.Licence]++
		info.Groups[p.Group]++
		if !concepts[p.Concept] && heldConcept(p.Concept) {
			info.HeldIDs++
		}
		concepts[p.Concept], labels[p.Label] = true, true
		sprites[i] = &Sprite{Pair: p}
	}
	split := Split(sprites)
	info.Concepts, info.Labels = len(concepts), len(labels)
	info.Train, info.HeldOut, info.Style = len(split.Train), len(split.HeldConcepts), len(split.HeldStyle)
	return info, nil
}
