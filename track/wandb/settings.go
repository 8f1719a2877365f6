package wandb

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// Mode says where a run is told to.
type Mode string

// Modes.
const (
	Disabled Mode = "disabled" // nowhere
	Offline  Mode = "offline"  // to a .wandb file
	Online   Mode = "online"   // to a .wandb file and to the server
)

// Secret is text that is never shown: however it is formatted, it is "[secret]". Convert it to a string to use it.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[secret]"
}

// Format hides the secret for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText hides the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Settings are what the WANDB_* variables say.
type Settings struct {
	Mode    Mode
	Key     Secret
	BaseURL string // without a slash at its end
	Project string
	Entity  string // "" is the key's own
	Dir     string // the folder in which the folder "wandb" is made; "" is up to the caller
	RunID   string // "" is up to the caller
	Name    string
	Tags    []string
}

const publicServer = "https://api.wandb.ai"

// FromEnv reads WANDB_API_KEY, _MODE, _BASE_URL, _PROJECT, _ENTITY, _DIR, _RUN_ID, _NAME and _TAGS. Without
// WANDB_MODE the mode is Online with a key and Offline without; asked reports whether any of the two was given, so that
// a caller can leave W&B alone unless it was. Values that W&B would not take are errors, so that a typing error does
// not send a run to the wrong place or to none.
func FromEnv(getenv func(string) string) (s Settings, asked bool, err error) {
	get := func(name string) string { return strings.TrimSpace(getenv("WANDB_" + name)) }
	s = Settings{Key: Secret(get("API_KEY")), BaseURL: strings.TrimRight(get("BASE_URL"), "/"), Project: get("PROJECT"),
		Entity: get("ENTITY"), Dir: get("DIR"), RunID: get("RUN_ID"), Name: get("NAME")}
	for t := range strings.SplitSeq(get("TAGS"), ",") {
		if t = strings.TrimSpace(t); t != "" {
			s.Tags = append(s.Tags, t)
		}
	}
	if s.BaseURL == "" {
		s.BaseURL = publicServer
	}
	mode := get("MODE")
	asked = mode != "" || s.Key != ""
	switch mode {
	case "":
		s.Mode = Offline
		if s.Key != "" {
			s.Mode = Online
		}
	case "online", "run":
		s.Mode = Online
	case "offline", "dryrun":
		s.Mode = Offline
	case "disabled":
		s.Mode = Disabled
	default:
		return s, asked, fmt.Errorf("WANDB_MODE %q (have online, offline, disabled)", mode)
	}
	return s, asked, s.Check()
}

// Check refuses what W&B would not take.
func (s Settings) Check() error {
	if s.Mode == Disabled {
		return nil
	}
	for name, v := range map[string]string{"WANDB_PROJECT": s.Project, "WANDB_ENTITY": s.Entity, "WANDB_RUN_ID": s.RunID} {
		if len(v) > 128 || strings.ContainsAny(v, `/\#?%:`) || strings.ContainsFunc(v, unicode.IsControl) {
			return fmt.Errorf(`%s %q: at most 128 characters, none of / \ # ? %% :`, name, v)
		}
	}
	if s.RunID == "." || s.RunID == ".." {
		return fmt.Errorf("WANDB_RUN_ID %q is no name for a run", s.RunID)
	}
	if s.Mode != Online {
		return nil
	}
	if s.Key == "" {
		return errors.New("WANDB_MODE is online, but WANDB_API_KEY is not set")
	}
	if strings.ContainsFunc(string(s.Key), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("WANDB_API_KEY has characters that no key has")
	}
	u, err := url.Parse(s.BaseURL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return errors.New("WANDB_BASE_URL is not an address like https://host, without user and query")
	}
	return nil
}
