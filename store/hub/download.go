package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// HashError says that content has not the hash it must have, or that nobody says which it must have.
type HashError struct {
	Name, Want, Got string
}

func (e *HashError) Error() string {
	switch {
	case e.Want == "":
		return fmt.Sprintf("%s: there is no hash to check it by", e.Name)
	case e.Got == "":
		return fmt.Sprintf("%q is not a sha256: that is 64 hexadecimal digits", e.Want)
	}
	return fmt.Sprintf("%s has the hash %s, not %s", e.Name, e.Got, e.Want)
}

// Hint says what to try.
func (e *HashError) Hint() string {
	switch {
	case e.Want == "":
		return "add --sha256 with the hash that its publisher states"
	case e.Got == "":
		return "copy the hash that the publisher states"
	}
	return "it is not the file that was asked for, and nothing of it was kept: check the hash and the address"
}

// SizeError says that a file is larger than is taken, or than was announced.
type SizeError struct {
	Name        string
	Bytes, Most int64
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%s has %d bytes or more, and %d are the most", e.Name, e.Bytes, e.Most)
}

// download brings one file into Dir and returns its place. Nothing has its final name before all of it was read back
// from the disk and found to have its hash.
func (c *Client) download(ctx context.Context, f File, m *meter) (string, error) {
	final := filepath.Join(c.Dir, f.key())
	part := final + ".part"
	if _, err := os.Stat(final); err == nil {
		if err := verify(ctx, final, f); err == nil {
			m.add(f.Name, fileSize(final))
			return final, nil
		} else if ctx.Err() != nil {
			return "", err
		}
		os.Remove(final)
	}
	for resumed := fileSize(part) > 0; ; resumed = false {
		before := m.done
		if err := c.insist(ctx, f, part, m); err != nil {
			return "", err
		}
		err := verify(ctx, part, f)
		var wrong *HashError
		switch {
		case err == nil:
			return final, os.Rename(part, final)
		case !errors.As(err, &wrong):
			return "", err
		}
		os.Remove(part)
		if !resumed {
			return "", err
		}
		m.add(f.Name, before-m.done) // what was resumed was of something else: once more from the start
	}
}

// insist transfers, asking again and going on where it stopped as long as that helps.
func (c *Client) insist(ctx context.Context, f File, part string, m *meter) error {
	for n := 0; ; n++ {
		had := fileSize(part)
		err := c.transfer(ctx, f, part, m)
		if err == nil {
			return nil
		}
		if fileSize(part)-had >= mib { // it goes on
			n = 0
		}
		if err := c.again(ctx, n, err); err != nil {
			return err
		}
	}
}

// transfer appends to a partial file what it lacks.
func (c *Client) transfer(parent context.Context, f File, part string, m *meter) (err error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	watch := time.AfterFunc(c.stall(), func() { cancel(&Error{URL: plainURL(f.url), Err: errStalled}) })
	defer watch.Stop()

	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	at, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if f.Size >= 0 && at > f.Size {
		if at, err = 0, restart(out); err != nil {
			return err
		}
	}
	m.at(f.Name, at)
	if at == f.Size && at > 0 {
		return nil
	}
	header := http.Header{"Accept-Encoding": {"identity"}}
	if at > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", at))
	}
	res, err := c.do(ctx, http.MethodGet, f.url, header)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	done, at, err := c.place(res, f, out, at)
	m.at(f.Name, at)
	if done || err != nil {
		return err
	}
	most := c.limit()
	if f.Size >= 0 {
		most = f.Size
	}
	body := &watched{r: res.Body, touch: func(n int) { watch.Reset(c.stall()); m.add(f.Name, int64(n)) }}
	n, err := io.Copy(out, io.LimitReader(body, most-at+1))
	switch {
	case body.err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case body.err != nil:
		return &Error{URL: plainURL(f.url), Err: body.err}
	case err != nil: // of the disk
		return err
	case at+n > most:
		return errors.Join(&SizeError{f.Name, at + n, most}, restart(out))
	case f.Size >= 0 && at+n < f.Size:
		return &Error{URL: plainURL(f.url), Err: io.ErrUnexpectedEOF}
	}
	return out.Sync()
}

// place sees from which byte an answer goes on and makes the partial file end there. done: there is nothing to add.
func (c *Client) place(res *http.Response, f File, out *os.File, at int64) (done bool, from int64, err error) {
	switch res.StatusCode {
	case http.StatusOK:
		if n := res.ContentLength; f.Size >= 0 && n >= 0 && n != f.Size {
			return false, 0, errors.Join(fmt.Errorf("%s has %d bytes instead of %d", f.Name, n, f.Size), restart(out))
		} else if n > c.limit() {
			return false, 0, errors.Join(&SizeError{f.Name, n, c.limit()}, restart(out))
		}
		return false, 0, restart(out)
	case http.StatusPartialContent:
		var first, last int64
		if n, _ := fmt.Sscanf(res.Header.Get("Content-Range"), "bytes %d-%d", &first, &last); n == 2 && first == at {
			return false, at, nil
		}
	case http.StatusRequestedRangeNotSatisfiable:
		if f.Size < 0 && strings.TrimSpace(res.Header.Get("Content-Range")) == fmt.Sprintf("bytes */%d", at) {
			return true, at, nil
		}
	}
	// The server and the partial file do not agree: from the start, by another request.
	return false, 0, errors.Join(&Error{URL: plainURL(f.url), Err: errors.New("the server answered with another part than was asked for")}, restart(out))
}

// restart empties a partial file.
func restart(out *os.File) error {
	if err := out.Truncate(0); err != nil {
		return err
	}
	_, err := out.Seek(0, io.SeekStart)
	return err
}

// watched tells of every read that brings something, and remembers how reading failed.
type watched struct {
	r     io.Reader
	touch func(int)
	err   error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.touch(n)
	}
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

func fileSize(p string) int64 {
	info, err := os.Stat(p)
	if err != nil {
		return 0
	}
	return info.Size()
}

// verify reads a file and compares its hash. Git's name of a content is the SHA-1 of it after a header; it guards
// small configuration files against damage, as git does.
func verify(ctx context.Context, at string, f File) error {
	in, err := os.Open(at)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fmt.Errorf("%s: %w", at, fs.ErrInvalid))
	}
	var h hash.Hash
	want := f.SHA256
	if want != "" {
		h = sha256.New()
	} else {
		h, want = sha1.New(), f.Git
		fmt.Fprintf(h, "blob %d\x00", info.Size())
	}
	buf := make([]byte, mib)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := in.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return &HashError{Name: f.Name, Want: want, Got: got}
	}
	return nil
}
