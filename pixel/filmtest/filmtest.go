// Package filmtest plays films in a browser, for tests.
package filmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"time"
)

// ErrNoBrowser says that there is no Chromium, or that it does not start.
var ErrNoBrowser = errors.New("chromium is not to be had")

// page plays the film and tells the server how that ended.
const page = `<!doctype html><video id="v" muted src="/film.webm"></video><script>
const say = text => fetch("/said?text=" + encodeURIComponent(text));
v.onended = () => say("ended at " + v.currentTime + " of " + v.duration + ", " + v.videoWidth + "x" + v.videoHeight);
v.onerror = () => say("error: " + v.error.message);
v.play().catch(e => say("play: " + e));
</script>`

// patience is how long a browser may take to start and to play a film of a few seconds.
const patience = 40 * time.Second

// Play plays a WebM film to its end in Chromium and returns what the page says then: "ended at 1.5 of 1.5, 50x34", or
// what went wrong.
func Play(ctx context.Context, film []byte) (string, error) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		return "", ErrNoBrowser
	}
	said := make(chan string, 4)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			fmt.Fprint(w, page)
		case "/film.webm":
			http.ServeContent(w, r, "film.webm", time.Time{}, bytes.NewReader(film))
		case "/said":
			q, _ := url.ParseQuery(r.URL.RawQuery)
			select {
			case said <- q.Get("text"):
			default:
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	profile, err := os.MkdirTemp("", "smalti-browser-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(profile) // whose processes may still write to it: what is left is nobody's failure
	ctx, stop := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
		"--autoplay-policy=no-user-gesture-required", "--user-data-dir="+profile, srv.URL)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its own processes
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		stop()
		return "", fmt.Errorf("%w: %w", ErrNoBrowser, err)
	}
	defer cmd.Wait()
	defer stop()
	select {
	case got := <-said:
		return got, nil
	case <-time.After(patience):
		return "", fmt.Errorf("the browser did not play the film to its end within %v", patience)
	}
}
