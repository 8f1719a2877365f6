package pixel

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"
)

// page plays the film and tells the server how that ended.
const page = `<!doctype html><video id="v" muted src="/film.webm"></video><script>
const say = text => fetch("/said?text=" + encodeURIComponent(text));
v.onended = () => say("ended at " + v.currentTime + " of " + v.duration + ", " + v.videoWidth + "x" + v.videoHeight);
v.onerror = () => say("error: " + v.error.message);
v.play().catch(e => say("play: " + e));
</script>`

// TestChromiumPlaysWebM plays a film to its end in a browser. It is skipped where there is none.
func TestChromiumPlaysWebM(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil || testing.Short() {
		t.Skip("chromium is not installed, or -short")
	}
	var film bytes.Buffer
	if err := EncodeWebM(&film, movie(36, 50, 34), 85); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 4)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			fmt.Fprint(w, page)
		case "/film.webm":
			http.ServeContent(w, r, "film.webm", time.Time{}, bytes.NewReader(film.Bytes()))
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
		t.Fatal(err)
	}
	defer os.RemoveAll(profile) // whose processes may still write to it: what is left is not this test's failure
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
		"--autoplay-policy=no-user-gesture-required", "--user-data-dir="+profile, srv.URL)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its own processes
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		stop()
		t.Skipf("chromium does not start: %v", err)
	}
	defer cmd.Wait()
	defer stop()
	select {
	case got := <-said:
		if want := "ended at 1.5 of 1.5, 50x34"; got != want {
			t.Errorf("the browser says %q, want %q", got, want)
		}
	case <-time.After(25 * time.Second):
		t.Error("the browser did not play the film to its end within 25 s")
	}
}
