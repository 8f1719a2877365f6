package clip

const fullVocabSize = 49408

type Vocab struct{ ids []int32 }

func (v Vocab) Size() int    { return len(v.ids) }
func (v Vocab) Pack() string { return "" }
