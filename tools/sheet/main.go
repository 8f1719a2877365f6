// Command sheet paints ten prompts with the built-in models, lets the CLIP that guided them rank each picture among
// twenty fixed captions, and writes a contact sheet with a table:
//
//	go build -o smalti ./cmd/smalti && go run ./tools/sheet -smalti ./smalti -out docs/builtin
//
// The guiding CLIP is no judge of quality - it ranks first whatever was optimised under it - so the table says that the
// loop works, and the sheet says what it looks like. Extra arguments after -- go to every paint.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
)

// The first ten captions are the prompts; the others only compete.
var captions = []string{
	"a red apple", "a yellow banana", "a green tree", "a blue fish", "a house", "a sunflower", "a strawberry",
	"a full moon", "a penguin", "a pizza",
	"a purple umbrella", "a dog", "a guitar", "a brown bear", "a rocket", "a pair of scissors", "a key", "a school bus",
	"a mushroom", "a cup of coffee",
}

const prompts = 10

// row is what is known of one prompt.
type row struct {
	prompt          string
	rank, startRank int
	start, end      float64 // cosine with the prompt
	seconds         float64
	picture         image.Image
}

func main() {
	smalti := flag.String("smalti", "./smalti", "the program")
	out := flag.String("out", "sheet", "folder to write")
	seed := flag.Uint64("seed", 7, "seed of every picture")
	flag.Parse()
	if err := run(*smalti, *out, *seed, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "sheet:", err)
		os.Exit(1)
	}
}

func run(smalti, out string, seed uint64, extra []string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "smalti-sheet-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	var rows []row
	for i := range prompts {
		r, err := paint(smalti, scratch, i, seed, extra)
		if err != nil {
			return fmt.Errorf("%s: %w", captions[i], err)
		}
		fmt.Printf("%-16s rank %2d (start %2d)  %.3f -> %.3f  %.1f s\n", r.prompt, r.rank, r.startRank, r.start, r.end, r.seconds)
		rows = append(rows, r)
	}
	return write(out, rows, extra)
}

// paint makes one picture and ranks it and its start.
func paint(smalti, scratch string, i int, seed uint64, extra []string) (row, error) {
	r := row{prompt: captions[i]}
	path := filepath.Join(scratch, strconv.Itoa(i)+".png")
	args := append([]string{"paint", r.prompt, "-o", path, "--seed", fmt.Sprint(seed), "--json"}, extra...)
	events, err := call(smalti, args...)
	if err != nil {
		return r, err
	}
	for _, e := range events {
		if e.Kind == event.Done {
			r.seconds, r.start, r.end = e.Seconds, e.Scores["start"], e.Scores["end"]
		}
	}
	if r.rank, err = rank(smalti, path, i); err != nil {
		return r, err
	}
	// One step at a rate too small to change a code shows the start.
	first := filepath.Join(scratch, strconv.Itoa(i)+"-start.png")
	args = append([]string{"paint", r.prompt, "-o", first, "--seed", fmt.Sprint(seed), "--json"}, extra...)
	if _, err := call(smalti, append(args, "--steps", "1", "--lr", "0.000001")...); err != nil {
		return r, err
	}
	if r.startRank, err = rank(smalti, first, i); err != nil {
		return r, err
	}
	r.picture, err = pixel.DecodeFile(path)
	return r, err
}

// rank is the place of caption i among all captions for a picture, 1 being the best.
func rank(smalti, path string, i int) (int, error) {
	events, err := call(smalti, append([]string{"clip", "score", path, "--json"}, captions...)...)
	if err != nil {
		return 0, err
	}
	for _, e := range events {
		if e.Kind == event.Result && e.Text["text"] == captions[i] {
			return int(e.Values["rank"]), nil
		}
	}
	return 0, fmt.Errorf("no score for %q", captions[i])
}

// call runs smalti and reads its events.
func call(smalti string, args ...string) ([]event.Event, error) {
	cmd := exec.Command(smalti, args...)
	cmd.Stderr = os.Stderr
	data, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var events []event.Event
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, lines.Err()
}

func write(out string, rows []row, extra []string) error {
	var cells []pixel.Cell
	var table strings.Builder
	fmt.Fprintf(&table, "flags: %s\n\n", strings.Join(extra, " "))
	fmt.Fprintln(&table, "| prompt | rank among 20 | rank of the start | cosine, start to end |")
	fmt.Fprintln(&table, "|---|---|---|---|")
	first, firstStart := 0, 0
	for _, r := range rows {
		cells = append(cells, pixel.Cell{Picture: r.picture, Caption: r.prompt})
		fmt.Fprintf(&table, "| %s | %d | %d | %.3f to %.3f |\n", r.prompt, r.rank, r.startRank, r.start, r.end)
		if r.rank == 1 {
			first++
		}
		if r.startRank == 1 {
			firstStart++
		}
	}
	fmt.Fprintf(&table, "\n%d of %d pictures are ranked first; %d of their starts are.\n", first, len(rows), firstStart)
	fmt.Print(table.String())
	if err := os.WriteFile(filepath.Join(out, "sheet.md"), []byte(table.String()), 0o644); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(out, "sheet.png"))
	if err != nil {
		return err
	}
	defer f.Close()
	return png.Encode(f, pixel.Sheet{Columns: 5, Gap: 6}.Draw(cells))
}
