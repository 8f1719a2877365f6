package weights

import (
	"fmt"
	"slices"
	"strings"
)

// Loader takes the tensors of a file, each once, and keeps account, so that no model runs half loaded. A model package
// walks its own table of names and shapes, calls a Take method for each, and ends with Done:
//
//	l := weights.NewLoader(f)
//	l.Skip("loss.", "optimizer.")
//	for _, e := range table {
//		data, err := l.Take(e.name, e.shape...)
//		if err != nil {
//			continue // Done tells
//		}
//		...
//	}
//	if err := l.Done(); err != nil {
//		return err
//	}
//
// Every failure of a Take method is remembered and reported by Done as well, so that a walk which goes on after an error
// shows the user everything at once. A Loader is not safe for use from several goroutines.
type Loader struct {
	prefix string
	book   *book
}

// book is what a Loader and its Subs share.
type book struct {
	file    *File
	used    map[string]bool // taken or skipped
	missing []string
	shapes  []ShapeError
	other   []error
}

// NewLoader begins the account of a file.
func NewLoader(f *File) *Loader {
	return &Loader{book: &book{file: f, used: make(map[string]bool)}}
}

// Sub returns a Loader over the tensors whose names begin with prefix, under names without it: l.Sub("visual.").Take("proj")
// takes "visual.proj". The account is shared, and Done is the same for both.
func (l *Loader) Sub(prefix string) *Loader { return &Loader{prefix: l.prefix + prefix, book: l.book} }

// Has reports whether the file has a tensor with this name, taken or not.
func (l *Loader) Has(name string) bool {
	_, ok := l.Peek(name)
	return ok
}

// First returns the first of the names that the file has, for tensors that files of different age call differently. When
// it has none, it returns the first name, so that the report names that one.
func (l *Loader) First(names ...string) string {
	for _, n := range names {
		if l.Has(n) {
			return n
		}
	}
	return names[0]
}

// Peek returns a tensor without taking it, to infer a configuration from shapes.
func (l *Loader) Peek(name string) (*Tensor, bool) { return l.book.file.Tensor(l.prefix + name) }

// Names returns the names, under the Loader's prefix and without it, of the tensors that were neither taken nor skipped.
func (l *Loader) Names() []string {
	var out []string
	for _, n := range l.book.file.names {
		if rest, ok := strings.CutPrefix(n, l.prefix); ok && !l.book.used[n] {
			out = append(out, rest)
		}
	}
	return out
}

// Take takes a floating-point tensor of the given shape (none for a scalar) in row-major order. The result is as that of
// Tensor.Float32: it may share the file's memory. Errors wrap ErrMissing, ErrShape, ErrTaken or ErrDType, or say why the
// data could not be read.
func (l *Loader) Take(name string, shape ...int) ([]float32, error) {
	t, err := l.TakeTensor(name, shape...)
	if err != nil {
		return nil, err
	}
	data, err := t.Float32()
	return data, l.book.note(err)
}

// TakeInt64 is Take for integers and booleans.
func (l *Loader) TakeInt64(name string, shape ...int) ([]int64, error) {
	t, err := l.TakeTensor(name, shape...)
	if err != nil {
		return nil, err
	}
	data, err := t.Int64()
	return data, l.book.note(err)
}

// TakeTensor takes a tensor of the given shape without reading its data: to check a file against a table of names, or to
// keep the stored element type.
func (l *Loader) TakeTensor(name string, shape ...int) (*Tensor, error) {
	name = l.prefix + name
	b := l.book
	t, ok := b.file.Tensor(name)
	if !ok {
		if !slices.Contains(b.missing, name) {
			b.missing = append(b.missing, name)
		}
		return nil, fmt.Errorf("tensor %q: %w", name, ErrMissing)
	}
	if b.used[name] {
		return nil, b.note(fmt.Errorf("tensor %q: %w", name, ErrTaken))
	}
	b.used[name] = true
	if !slices.Equal(t.Shape, shape) {
		e := ShapeError{Name: name, Want: slices.Clone(shape), Got: slices.Clone(t.Shape)}
		b.shapes = append(b.shapes, e)
		return nil, &e
	}
	return t, nil
}

// note remembers an error for Done.
func (b *book) note(err error) error {
	if err != nil {
		b.other = append(b.other, err)
	}
	return err
}

// Skip declares that the tensors whose names begin with one of the prefixes are not needed, and returns how many there
// were. Tensors already taken are left alone.
func (l *Loader) Skip(prefixes ...string) int {
	return l.SkipFunc(func(name string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	})
}

// SkipFunc declares that the tensors under the Loader's prefix for which match holds are not needed, such as counters
// that end in ".num_batches_tracked". It returns how many there were.
func (l *Loader) SkipFunc(match func(name string) bool) int {
	names := l.Names()
	n := 0
	for _, name := range names {
		if match(name) {
			l.book.used[l.prefix+name] = true
			n++
		}
	}
	return n
}

// Done ends the account: nil when every tensor of the file was taken or skipped and nothing was missing, otherwise a
// *MismatchError. A MismatchError with only Failed in it means that the names and shapes were right.
func (l *Loader) Done() error {
	b := l.book
	left := (&Loader{book: b}).Names()
	if len(b.missing) == 0 && len(left) == 0 && len(b.shapes) == 0 && len(b.other) == 0 {
		return nil
	}
	return &MismatchError{Path: b.file.path, Missing: slices.Sorted(slices.Values(b.missing)), LeftOver: left, Shapes: b.shapes,
		Failed: b.other}
}

// ShapeError says that a tensor has another shape than the model wants. It wraps ErrShape.
type ShapeError struct {
	Name      string
	Want, Got []int
}

func (e *ShapeError) Error() string {
	return fmt.Sprintf("tensor %q: %v: %v in the file, want %v", e.Name, ErrShape, e.Got, e.Want)
}

// Unwrap returns ErrShape.
func (e *ShapeError) Unwrap() error { return ErrShape }

// MismatchError says how a file and a model differ. It wraps the errors in Failed.
type MismatchError struct {
	Path     string // of the file, empty when it was in memory
	Missing  []string
	LeftOver []string // in the file, neither taken nor skipped
	Shapes   []ShapeError
	Failed   []error // tensors taken twice, of the wrong element type, or unreadable
}

func (e *MismatchError) Error() string {
	var parts []string
	if n := len(e.Missing); n > 0 {
		parts = append(parts, fmt.Sprintf("%d missing (%s)", n, firstOf(e.Missing)))
	}
	if n := len(e.LeftOver); n > 0 {
		parts = append(parts, fmt.Sprintf("%d left over (%s)", n, firstOf(e.LeftOver)))
	}
	if n := len(e.Shapes); n > 0 {
		var list []string
		for _, s := range e.Shapes {
			list = append(list, fmt.Sprintf("%s is %v, want %v", s.Name, s.Got, s.Want))
		}
		parts = append(parts, fmt.Sprintf("%d of the wrong shape (%s)", n, firstOf(list)))
	}
	if len(e.Failed) > 0 {
		parts = append(parts, fmt.Sprintf("%d failed (%v)", len(e.Failed), e.Failed[0]))
	}
	msg := "weights do not fit the model: tensors " + strings.Join(parts, "; ")
	if e.Path != "" {
		msg = e.Path + ": " + msg
	}
	return msg
}

// Unwrap returns the errors in Failed, and ErrMissing or ErrShape when there are such tensors.
func (e *MismatchError) Unwrap() []error {
	errs := slices.Clone(e.Failed)
	if len(e.Missing) > 0 {
		errs = append(errs, ErrMissing)
	}
	if len(e.Shapes) > 0 {
		errs = append(errs, ErrShape)
	}
	return errs
}

// firstOf lists the first ten names and says when there are more.
func firstOf(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(", and %d more", len(names)-most)
}
