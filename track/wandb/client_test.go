package wandb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

const key = "0123456789abcdef0123456789abcdef01234567"

func env(kv ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(kv); i += 2 {
			if "WANDB_"+kv[i] == name {
				return kv[i+1]
			}
		}
		return ""
	}
}

func TestSettingsFromTheEnvironment(t *testing.T) {
	got, asked, err := FromEnv(env("API_KEY", key, "BASE_URL", "https://wb.example/", "PROJECT", "p", "ENTITY", "e", "DIR", "/d",
		"RUN_ID", "r1", "NAME", "n", "TAGS", "a, b,,"))
	want := Settings{Mode: Online, Key: key, BaseURL: "https://wb.example", Project: "p", Entity: "e", Dir: "/d", RunID: "r1", Name: "n", Tags: []string{"a", "b"}}
	if err != nil || !asked || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v, %v", got, asked, err)
	}
	for _, c := range []struct {
		env   []string
		mode  Mode
		asked bool
	}{
		{nil, Offline, false},
		{[]string{"API_KEY", key}, Online, true},
		{[]string{"API_KEY", key, "MODE", "offline"}, Offline, true},
		{[]string{"MODE", "dryrun"}, Offline, true},
		{[]string{"API_KEY", key, "MODE", "disabled"}, Disabled, true},
		{[]string{"PROJECT", "p"}, Offline, false},
	} {
		s, asked, err := FromEnv(env(c.env...))
		if err != nil || s.Mode != c.mode || asked != c.asked {
			t.Errorf("%v: %v, %v, %v", c.env, s.Mode, asked, err)
		}
	}
	for _, bad := range [][]string{{"MODE", "onlin"}, {"MODE", "online"}, {"RUN_ID", "a/b"}, {"RUN_ID", ".."}, {"PROJECT", "a%b"},
		{"API_KEY", "a b"}, {"API_KEY", key, "BASE_URL", "ftp://x"}, {"API_KEY", key, "BASE_URL", "https://user:pass@x"}, {"ENTITY", strings.Repeat("x", 129)}} {
		if _, _, err := FromEnv(env(bad...)); err == nil || strings.Contains(err.Error(), "pass") || strings.Contains(err.Error(), key) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestASecretIsNeverShown(t *testing.T) {
	s := Settings{Key: key}
	j, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v %q %x %s", s, s, s.Key, s.Key, s.Key), string(j)} {
		if strings.Contains(shown, key) || strings.Contains(shown, fmt.Sprintf("%x", key)) || !strings.Contains(shown, "[secret]") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func client(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &Client{Settings: Settings{Mode: Online, Key: key, BaseURL: s.URL}, HTTP: s.Client(), Now: func() time.Time { return at }}
}

func TestErrorsOfAServer(t *testing.T) {
	cases := []struct {
		name      string
		status    int
		header    string
		body      string
		permanent bool
		after     time.Duration
	}{
		{"wrong key, which the server repeats", 401, "", "no user has " + key, true, 0},
		{"the header is repeated", 403, "", "Basic YXBpOjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc=", true, 0},
		{"too often, in seconds", 429, "7", "slow down", false, 7 * time.Second},
		{"too often, by a date", 429, at.Add(90 * time.Second).Format(http.TimeFormat), "", false, 90 * time.Second},
		{"broken", 500, "", strings.Repeat("é\n", 5000), false, 0},
		{"nonsense in the header", 503, "soon", "", false, 0},
		{"gone", 410, "", "", true, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cl := client(t, func(w http.ResponseWriter, r *http.Request) {
				if c.header != "" {
					w.Header().Set("Retry-After", c.header)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			err := cl.Stream(context.Background(), Place{"e", "p", "r"}, Update{})
			var e *Error
			if !errors.As(err, &e) || e.Status != c.status || e.Permanent() != c.permanent || e.RetryAfter().Round(time.Second) != c.after {
				t.Fatalf("%v: %+v", err, e)
			}
			if text := err.Error(); strings.Contains(text, key) || strings.Contains(text, "YXBp") || strings.Contains(text, "\n") || len(text) > 600 {
				t.Fatalf("error %q", text)
			}
		})
	}
}

func TestGraphQLRefusals(t *testing.T) {
	for body, permanent := range map[string]bool{
		`{"errors":[{"message":"permission denied for ` + key + `"}]}`: true,
		`<html>proxy</html>`: false,
		`{"data":[]}`:        false,
		`{"data":{"upsertBucket":{"bucket":{"name":"r"}}}}`: true, // does not say whose the run is
	} {
		cl := client(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, body) })
		_, err := cl.Upsert(context.Background(), Run{ID: "r", Project: "p", Start: at})
		var e *Error
		if !errors.As(err, &e) || e.Permanent() != permanent || strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	cl := &Client{Settings: Settings{Key: key, BaseURL: s.URL}, HTTP: &http.Client{Timeout: time.Second}}
	err := cl.Stream(context.Background(), Place{"e", "p", "r"}, Update{})
	var e *Error
	if !errors.As(err, &e) || e.Status != 0 || e.Permanent() || e.Unwrap() == nil {
		t.Fatalf("%v: %+v", err, e)
	}
}

// The key goes to the W&B server and to nobody else: uploads to another host carry the headers that were asked for.
func TestUploadsDoNotCarryTheKeyElsewhere(t *testing.T) {
	var got *http.Request
	var body string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got, body = r, string(b)
	}))
	defer elsewhere.Close()
	cl := client(t, func(w http.ResponseWriter, r *http.Request) {
		if user, pass, ok := r.BasicAuth(); !ok || user != "api" || pass != key {
			t.Errorf("authorised as %s", user)
		}
		_, _ = fmt.Fprintf(w, `{"data":{"createRunFiles":{"uploadHeaders":["X-Kind: image"],"files":[{"name":"a.png","uploadUrl":"%s/put?sig=s"}]}}}`, elsewhere.URL)
	})
	if err := cl.Upload(context.Background(), Place{"e", "p", "r"}, "a.png", []byte("data")); err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodPut || body != "data" || got.Header.Get("X-Kind") != "image" || got.Header.Get("Authorization") != "" || got.URL.RawQuery != "sig=s" {
		t.Fatalf("%s %s %v, %q", got.Method, got.URL, got.Header, body)
	}
}

func TestProgress(t *testing.T) {
	cl := client(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"data":{"model":{"bucket":{"historyLineCount":12,"eventsLineCount":3,"logLineCount":5,
			"historyTail":"[\"{\\\"_step\\\": 40,\\\"loss\\\":NaN}\",\"{\\\"a\\\":1,\\\"_step\\\":50}\"]","summaryMetrics":"{\"best\":1}"}}}}`)
	})
	p, err := cl.Progress(context.Background(), "p", "", "r")
	want := Progress{Exists: true, History: 12, Events: 3, Log: 5, LastStep: 50, Summary: map[string]json.RawMessage{"best": json.RawMessage("1")}}
	if err != nil || !reflect.DeepEqual(p, want) {
		t.Fatalf("%+v, %v", p, err)
	}
	cl = client(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, `{"data":{"model":null}}`) })
	if p, err := cl.Progress(context.Background(), "p", "", "r"); err != nil || p.Exists || p.LastStep != -1 {
		t.Fatalf("%+v, %v", p, err)
	}
}
