// Package hub brings model files onto this machine: from a hub that speaks Hugging Face's protocol, from the cache its
// clients keep, or from any https address. It knows files, hashes and licences, and nothing of what is inside.
//
//	ref, err := hub.ParseRef("hf:openai/clip-vit-base-patch32")
//	plan, err := client.Plan(ctx, ref, "")      // what would be fetched: files, sizes, hashes, licence
//	got, err := client.Fetch(ctx, plan, sink)   // every file whole and of the hash that the plan says
//	defer got.Discard()                         // once the store has its own copy
//
// A download goes to Client.Dir under the hash it must have, with ".part" behind it until all of it has been read back
// and found to have that hash. What an interrupted download left is continued by the next one.
//
// Files: ref.go names things, plan.go asks the hub or the cache, choose.go picks a repository's weights, request.go
// speaks HTTP, download.go fetches one file, fetch.go all of a plan, gallery.go lists well-known models.
package hub

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/smalti/smalti/store"
)

// maxBytes is what a file may have at most, unless Client.MaxBytes says otherwise.
const maxBytes = 64 << 30

// Client fetches. Its fields are set before the first use.
type Client struct {
	Endpoint string // base address of the hub
	Token    string // sent to the hub's own host, and to no other; "" is none
	Cache    string // folder of the hub's other clients, which is only read; "" is none
	Dir      string // where downloads are kept
	Offline  bool   // only what is already here
	MaxBytes int64  // of one file; 0 is 64 GiB

	Transport http.RoundTripper                          // nil is http.DefaultTransport
	Pause     func(context.Context, time.Duration) error // waits between attempts; nil really waits
	Stall     time.Duration                              // a transfer that brings nothing for so long is broken off; 0 is a minute
}

// New returns the client that the environment asks for, with downloads in dir: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE,
// and the cache of store.HFCache.
func New(dir string, getenv func(string) string) *Client {
	endpoint := getenv("HF_ENDPOINT")
	if endpoint == "" {
		endpoint = gallery().Hub
	}
	token := getenv("HF_TOKEN")
	if token == "" {
		token = getenv("HUGGING_FACE_HUB_TOKEN")
	}
	return &Client{Endpoint: strings.TrimRight(endpoint, "/"), Token: strings.TrimSpace(token), Cache: store.HFCache(getenv), Dir: dir, Offline: isTrue(getenv("HF_HUB_OFFLINE"))}
}

// isTrue reads a switch as the hub's other clients do.
func isTrue(s string) bool {
	switch strings.ToUpper(s) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}

func (c *Client) limit() int64 {
	if c.MaxBytes > 0 {
		return c.MaxBytes
	}
	return maxBytes
}

func (c *Client) pause(ctx context.Context, d time.Duration) error {
	if c.Pause != nil {
		return c.Pause(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// safeURL says whether an address may be asked: https, or http on this very machine, and no password in it.
func safeURL(u *url.URL) bool {
	if u.User != nil || u.Hostname() == "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
