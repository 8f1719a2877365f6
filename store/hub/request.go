package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Error is a request that brought no answer, or not the one asked for. Its text never holds the token or a query.
type Error struct {
	URL     string // without its query
	Status  int    // HTTP's status; 0: no answer
	Message string // what the server said, shortened
	After   time.Duration
	Token   bool // whether one was sent
	Gated   bool // the server says that its terms must be accepted first
	Err     error
}

func (e *Error) Error() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("fetch %s: %v", e.URL, e.Err)
	case e.Message != "":
		return fmt.Sprintf("fetch %s: the server answered %d: %s", e.URL, e.Status, e.Message)
	}
	return fmt.Sprintf("fetch %s: the server answered %d %s", e.URL, e.Status, http.StatusText(e.Status))
}

// Unwrap returns the reason for a missing answer.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to try.
func (e *Error) Hint() string {
	switch {
	case e.Gated:
		return "accept the repository's terms on its page, then set HF_TOKEN to a token of that account"
	case e.Status == http.StatusUnauthorized && e.Token:
		return "HF_TOKEN is not accepted: make a new one, or unset it for public models"
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden && !e.Token:
		return "check the spelling; a private model needs HF_TOKEN"
	case e.Status == http.StatusForbidden:
		return "the account of HF_TOKEN may not read this"
	case e.Status == http.StatusNotFound:
		return "check the spelling of the repository, revision and file"
	case e.Status == http.StatusTooManyRequests:
		return "the server asks for patience: run the same command later, what was fetched is kept"
	case e.Status >= 500:
		return "the server has trouble: run the same command later, what was fetched is kept"
	case e.Status == 0:
		return "check the network and run the same command again, what was fetched is kept; HF_HUB_OFFLINE=1 uses what is here"
	}
	return "check the address"
}

// temporary says that asking again may help.
func (e *Error) temporary() bool {
	switch e.Status {
	case 0, http.StatusRequestTimeout, http.StatusTooManyRequests, 500, 502, 503, 504:
		return !errors.Is(e.Err, errRedirect)
	}
	return false
}

var errRedirect = errors.New("redirected to where smalti does not go")

const maxRedirects = 8

// do sends a request and follows its redirects: to https only (to http on this machine from there), and with the token
// only as long as the host is the hub's. The caller closes the body. Any status but 200, 206 and 416 is an *Error.
func (c *Client) do(ctx context.Context, method, address string, header http.Header) (*http.Response, error) {
	u, err := url.Parse(address)
	if err != nil || !safeURL(u) {
		return nil, &RefError{plainURL(address), "only https is fetched"}
	}
	start := u
	for range maxRedirects {
		req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
		if err != nil {
			return nil, &Error{URL: plainURL(address), Err: errors.New("the address cannot be asked")}
		}
		for k, v := range header {
			req.Header[k] = v
		}
		req.Header.Set("User-Agent", "smalti")
		sent := c.Token != "" && c.ownHost(u)
		if sent {
			req.Header.Set("Authorization", "Bearer "+c.Token)
		}
		res, err := c.transport().RoundTrip(req)
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, &Error{URL: plainURL(u.String()), Err: err}
		}
		switch res.StatusCode {
		case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
			return res, nil
		case 301, 302, 303, 307, 308:
			res.Body.Close()
			next, err := u.Parse(res.Header.Get("Location"))
			if err != nil || !safeURL(next) || next.Scheme == "http" && !loopback(start.Hostname()) {
				return nil, &Error{URL: plainURL(u.String()), Err: errRedirect}
			}
			u = next
		default:
			return nil, failure(res, u, sent)
		}
	}
	return nil, &Error{URL: plainURL(address), Err: fmt.Errorf("more than %d redirects: %w", maxRedirects, errRedirect)}
}

func (c *Client) transport() http.RoundTripper {
	if c.Transport != nil {
		return c.Transport
	}
	return http.DefaultTransport
}

// ownHost says whether an address is of the hub itself.
func (c *Client) ownHost(u *url.URL) bool {
	hub, err := url.Parse(c.Endpoint)
	return err == nil && hub.Scheme == u.Scheme && hub.Host == u.Host
}

// failure reads the reason of a bad status and closes the body.
func failure(res *http.Response, u *url.URL, sent bool) error {
	defer res.Body.Close()
	e := &Error{URL: plainURL(u.String()), Status: res.StatusCode, Token: sent}
	e.Message = shorten(res.Header.Get("X-Error-Message"))
	if e.Message == "" && strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
		raw, _ := io.ReadAll(io.LimitReader(res.Body, 400))
		e.Message = shorten(string(raw))
	}
	e.Gated = res.Header.Get("X-Error-Code") == "GatedRepo"
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		e.After = time.Duration(min(s, 3600)) * time.Second
	}
	return e
}

// shorten makes one short printable line of what a server said.
func shorten(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if r := []rune(strings.Join(strings.Fields(s), " ")); len(r) > 200 {
		return string(r[:200])
	} else {
		return string(r)
	}
}

const (
	attempts = 5                // in a row that bring nothing
	patience = 60 * time.Second // the longest pause that is waited for
)

// again waits before attempt n+1 (n counts from 0), or returns err if asking again is of no use.
func (c *Client) again(ctx context.Context, n int, err error) error {
	var e *Error
	if !errors.As(err, &e) || !e.temporary() || n+1 >= attempts || e.After > patience || ctx.Err() != nil {
		return err
	}
	return c.pause(ctx, max(e.After, time.Second<<n))
}

// read gets a small document, asking again where that may help.
func (c *Client) read(ctx context.Context, address string, most int64) ([]byte, error) {
	for n := 0; ; n++ {
		raw, err := c.readOnce(ctx, address, most)
		if err == nil {
			return raw, nil
		}
		if err := c.again(ctx, n, err); err != nil {
			return nil, err
		}
	}
}

func (c *Client) readOnce(ctx context.Context, address string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.stall(), &Error{URL: plainURL(address), Err: errStalled})
	defer cancel()
	res, err := c.do(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, &Error{URL: plainURL(address), Status: res.StatusCode}
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, &Error{URL: plainURL(address), Err: err}
	case int64(len(raw)) > most:
		return nil, fmt.Errorf("fetch %s: the answer is longer than %d bytes", plainURL(address), most)
	}
	return raw, nil
}

var errStalled = errors.New("nothing came for too long")

func (c *Client) stall() time.Duration {
	if c.Stall > 0 {
		return c.Stall
	}
	return time.Minute
}
