package weights

import (
	"errors"
	"fmt"
)

var (
	// ErrFormat is what errors.Is finds in every error about a file that is of no known kind, damaged, cut short, or refused
	// for what it contains. Errors of the operating system (no such file, no permission) do not carry it.
	ErrFormat = errors.New("unreadable weight file")

	// ErrClosed is returned for data of a tensor whose File was closed.
	ErrClosed = errors.New("weight file is closed")

	// ErrMissing and ErrShape are the two ways in which a tensor asked of a Loader is not there: no such name, or a name with
	// another shape. ErrTaken says that it was there and was taken or skipped before.
	ErrMissing = errors.New("tensor is missing")
	ErrShape   = errors.New("tensor has the wrong shape")
	ErrTaken   = errors.New("tensor was already taken")

	// ErrDType says that a tensor's elements cannot be had as the type asked for.
	ErrDType = errors.New("tensor has the wrong element type")
)

// formatf makes an error that wraps ErrFormat; the message says what is wrong with the file.
func formatf(format string, args ...any) error {
	return &formatError{fmt.Errorf(format, args...)}
}

// formatError carries ErrFormat without repeating its text in every message.
type formatError struct{ err error }

func (e *formatError) Error() string   { return e.err.Error() }
func (e *formatError) Unwrap() []error { return []error{ErrFormat, e.err} }

// UnsafePickleError says that a pickle refers to a function that can run code, such as os.system. The file is refused
// as a whole; nothing of it was executed. Open wraps it in an error that wraps ErrFormat too.
type UnsafePickleError struct {
	Global string // "module.name"
}

func (e *UnsafePickleError) Error() string {
	return fmt.Sprintf("refused: the pickle refers to %s, which can run code (nothing was executed)", e.Global)
}
