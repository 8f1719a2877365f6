package wandb

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Error is a request that did not succeed. Its text never holds the key.
type Error struct {
	Op      string        // what was asked for
	Status  int           // HTTP's status; 0 if there was no answer, 200 if GraphQL refused
	Message string        // what the server said, shortened
	After   time.Duration // when the server wants to be asked again; 0 is unknown
	Err     error         // why there was no answer
}

func (e *Error) Error() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("%s: %s", e.Op, e.Message)
	case e.Message == "":
		return fmt.Sprintf("%s: the server answered %d %s", e.Op, e.Status, http.StatusText(e.Status))
	default:
		return fmt.Sprintf("%s: the server answered %d: %s", e.Op, e.Status, e.Message)
	}
}

// Unwrap returns the reason for a missing answer.
func (e *Error) Unwrap() error { return e.Err }

// RetryAfter is the pause that the server asked for.
func (e *Error) RetryAfter() time.Duration { return e.After }

// Permanent says that asking again cannot help: the key is wrong, the run is not ours, the request makes no sense.
func (e *Error) Permanent() bool {
	return slices.Contains([]int{200, 400, 401, 403, 404, 409, 410, 413, 422, 501}, e.Status)
}

// Client makes single requests to a W&B server. It does not retry.
type Client struct {
	Settings Settings
	HTTP     *http.Client     // must have a timeout
	Now      func() time.Time // for dates in Retry-After
}

// Place is where a run lives on the server.
type Place struct{ Entity, Project, Run string }

// Progress is what the server already has of a run.
type Progress struct {
	Exists               bool
	History, Events, Log int                        // lines
	LastStep             int64                      // of the last row of history; -1 if there is none
	Summary              map[string]json.RawMessage // as far as it can be read
}

const progressQuery = `query RunResumeStatus($project: String, $entity: String, $name: String!) {
  model(name: $project, entityName: $entity) {
    bucket(name: $name, missingOk: true) {
      id name summaryMetrics logLineCount historyLineCount eventsLineCount historyTail
    }
  }
}`

// Progress asks what the server has of a run; a run that it does not know has made none.
func (c *Client) Progress(ctx context.Context, project, entity, run string) (Progress, error) {
	var answer struct {
		Model *struct {
			Bucket *struct {
				LogLineCount, HistoryLineCount, EventsLineCount int
				HistoryTail, SummaryMetrics                     string
			}
		}
	}
	vars := map[string]any{"project": project, "entity": orNone(entity), "name": run}
	if err := c.graphql(ctx, "ask for the run", progressQuery, vars, &answer); err != nil {
		return Progress{}, err
	}
	p := Progress{LastStep: -1}
	if answer.Model == nil || answer.Model.Bucket == nil {
		return p, nil
	}
	b := answer.Model.Bucket
	p.Exists, p.History, p.Events, p.Log = true, b.HistoryLineCount, b.EventsLineCount, b.LogLineCount
	_ = json.Unmarshal([]byte(b.SummaryMetrics), &p.Summary) // a summary that cannot be read is written anew
	var tail []string
	if json.Unmarshal([]byte(b.HistoryTail), &tail) == nil && len(tail) > 0 {
		if step, ok := stepOf(tail[len(tail)-1]); ok {
			p.LastStep = step
		}
	}
	return p, nil
}

// stepOf finds _step in a row, which may hold NaN and so need not be JSON that Go reads.
func stepOf(line string) (int64, bool) {
	_, rest, ok := strings.Cut(line, `"_step":`)
	if !ok {
		return 0, false
	}
	rest = strings.TrimLeft(rest, " ")
	end := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '-' })
	if end < 0 {
		end = len(rest)
	}
	n, err := strconv.ParseInt(rest[:end], 10, 64)
	return n, err == nil
}

const upsertMutation = `mutation UpsertBucket($name: String, $project: String, $entity: String, $displayName: String, $notes: String,
  $config: JSONString, $host: String, $state: String, $tags: [String!], $summaryMetrics: JSONString) {
  upsertBucket(input: {name: $name, modelName: $project, entityName: $entity, displayName: $displayName, notes: $notes,
    config: $config, host: $host, state: $state, tags: $tags, summaryMetrics: $summaryMetrics}) {
    bucket { id name displayName project { id name entity { id name } } historyLineCount }
    inserted
  }
}`

// Upsert makes a run on the server, or brings it up to date, and returns where it lives.
func (c *Client) Upsert(ctx context.Context, r Run) (Place, error) {
	var answer struct {
		UpsertBucket *struct {
			Bucket *struct {
				Name    string
				Project *struct {
					Name   string
					Entity *struct{ Name string }
				}
			}
		}
	}
	vars := map[string]any{"name": r.ID, "project": r.Project, "entity": orNone(r.Entity), "displayName": orNone(r.Name),
		"notes": orNone(r.Notes), "config": ConfigJSON(r.Config), "host": orNone(r.Host), "state": "running"}
	if len(r.Tags) > 0 {
		vars["tags"] = r.Tags
	}
	const op = "register the run"
	if err := c.graphql(ctx, op, upsertMutation, vars, &answer); err != nil {
		return Place{}, err
	}
	p := Place{r.Entity, r.Project, r.ID}
	if u := answer.UpsertBucket; u != nil && u.Bucket != nil {
		if u.Bucket.Name != "" {
			p.Run = u.Bucket.Name
		}
		if u.Bucket.Project != nil {
			p.Project = u.Bucket.Project.Name
			if u.Bucket.Project.Entity != nil {
				p.Entity = u.Bucket.Project.Entity.Name
			}
		}
	}
	if p.Entity == "" || p.Project == "" {
		return Place{}, &Error{Op: op, Status: http.StatusOK, Message: "it did not say whose the run is"}
	}
	return p, nil
}

// Chunk is lines of one of a run's files, from a line on.
type Chunk struct {
	Offset  int      `json:"offset"`
	Content []string `json:"content"`
}

// Names of the files that Stream takes.
const (
	HistoryFile = "wandb-history.jsonl"
	EventsFile  = "wandb-events.jsonl"
	SummaryFile = "wandb-summary.json"
	OutputFile  = "output.log"
)

// Update is one post to file_stream. Lines are put where their offset says, so that posting again changes nothing.
type Update struct {
	Files    map[string]Chunk `json:"files,omitempty"`
	Uploaded []string         `json:"uploaded,omitempty"`
	Complete *bool            `json:"complete,omitempty"`
	ExitCode *int             `json:"exitcode,omitempty"`
}

// Stream posts an update; an empty one says that the run is alive.
func (c *Client) Stream(ctx context.Context, p Place, u Update) error {
	body, err := json.Marshal(u)
	if err != nil {
		return fmt.Errorf("encode an update: %w", err)
	}
	address := c.Settings.BaseURL + "/files/" + url.PathEscape(p.Entity) + "/" + url.PathEscape(p.Project) + "/" + url.PathEscape(p.Run) + "/file_stream"
	_, err = c.do(ctx, "send numbers", http.MethodPost, address, body, c.signed)
	return err
}

const filesMutation = `mutation CreateRunFiles($entity: String!, $project: String!, $run: String!, $files: [String!]!) {
  createRunFiles(input: {entityName: $entity, projectName: $project, runName: $run, files: $files}) {
    runID uploadHeaders files { name uploadUrl }
  }
}`

// Upload brings one file to where the server wants it. The key is not sent there, as it may be another company's store.
func (c *Client) Upload(ctx context.Context, p Place, name string, data []byte) error {
	var answer struct {
		CreateRunFiles *struct {
			UploadHeaders []string
			Files         []struct{ Name, UploadURL string }
		}
	}
	op := "send " + name
	vars := map[string]any{"entity": p.Entity, "project": p.Project, "run": p.Run, "files": []string{name}}
	if err := c.graphql(ctx, op, filesMutation, vars, &answer); err != nil {
		return err
	}
	if answer.CreateRunFiles == nil || len(answer.CreateRunFiles.Files) != 1 || answer.CreateRunFiles.Files[0].UploadURL == "" {
		return &Error{Op: op, Status: http.StatusOK, Message: "it did not say where to"}
	}
	to, err := url.Parse(answer.CreateRunFiles.Files[0].UploadURL)
	if err != nil {
		return &Error{Op: op, Status: http.StatusOK, Message: "it named no address to send to"}
	}
	own := to.Host == ""
	if own { // a server that keeps files itself names a path
		base, err := url.Parse(c.Settings.BaseURL)
		if err != nil {
			return &Error{Op: op, Status: http.StatusBadRequest, Message: "bad address", Err: err}
		}
		to = base.ResolveReference(to)
	}
	_, err = c.do(ctx, op, http.MethodPut, to.String(), data, func(r *http.Request) {
		for _, h := range answer.CreateRunFiles.UploadHeaders {
			if k, v, ok := strings.Cut(h, ":"); ok {
				r.Header.Set(strings.TrimSpace(k), strings.TrimSpace(v))
			}
		}
		if own {
			r.SetBasicAuth("api", string(c.Settings.Key))
		}
	})
	return err
}

func (c *Client) signed(r *http.Request) {
	r.SetBasicAuth("api", string(c.Settings.Key))
	r.Header.Set("Content-Type", "application/json")
}

func (c *Client) graphql(ctx context.Context, op, query string, vars map[string]any, into any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		return fmt.Errorf("encode a query: %w", err)
	}
	b, err := c.do(ctx, op, http.MethodPost, c.Settings.BaseURL+"/graphql", body, c.signed)
	if err != nil {
		return err
	}
	var answer struct {
		Data   json.RawMessage
		Errors []struct{ Message string }
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return &Error{Op: op, Status: http.StatusBadGateway, Message: "an answer that is not JSON"}
	}
	if len(answer.Errors) > 0 {
		return &Error{Op: op, Status: http.StatusOK, Message: c.clean(answer.Errors[0].Message)}
	}
	if err := json.Unmarshal(answer.Data, into); err != nil {
		return &Error{Op: op, Status: http.StatusBadGateway, Message: "an answer of another form"}
	}
	return nil
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 4 << 20

func (c *Client) do(ctx context.Context, op, method, address string, body []byte, dress func(*http.Request)) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, &Error{Op: op, Status: http.StatusBadRequest, Message: "bad address"}
	}
	req.Header.Set("User-Agent", "smalti")
	dress(req)
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, c.silence(op, err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is lost by it
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		if err != nil {
			return nil, c.silence(op, err)
		}
		return b, nil
	}
	return nil, &Error{Op: op, Status: resp.StatusCode, Message: c.clean(string(b)), After: c.after(resp.Header.Get("Retry-After"))}
}

// silence is the error for a missing answer. It leaves out the address, which may be signed.
func (c *Client) silence(op string, err error) *Error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &Error{Op: op, Message: c.clean(err.Error()), Err: err}
}

// clean makes a server's words fit for an error: one line, short, without the key in any form it was sent in.
func (c *Client) clean(s string) string {
	if k := string(c.Settings.Key); k != "" {
		basic := base64.StdEncoding.EncodeToString([]byte("api:" + k))
		s = strings.NewReplacer(basic, "[key]", k, "[key]", url.QueryEscape(k), "[key]").Replace(s)
	}
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return s
}

// after reads Retry-After: seconds or a date.
func (c *Client) after(s string) time.Duration {
	if n, err := strconv.Atoi(strings.TrimSpace(s)); err == nil && n >= 0 && n < 1<<20 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil && c.Now != nil {
		return max(t.Sub(c.Now()), 0)
	}
	return 0
}

// orNone makes an empty string null, which leaves the choice to the server.
func orNone(s string) any {
	if s == "" {
		return nil
	}
	return s
}
