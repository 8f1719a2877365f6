//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock takes the folder's advisory lock: exclusive, or shared with others who do not want it exclusively. It does not
// wait for exclusive use: that gives ErrBusy.
func lock(root *os.Root, exclusive bool) (unlock func(), err error) {
	f, err := root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock model folder: %w", err)
	}
	how := syscall.LOCK_SH
	if exclusive {
		how = syscall.LOCK_EX | syscall.LOCK_NB
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		f.Close()
		return nil, ErrBusy
	case errors.Is(err, errors.ErrUnsupported): // network folders without locks
		err = nil
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("lock model folder: %w", err)
	}
	return func() { f.Close() }, nil
}
