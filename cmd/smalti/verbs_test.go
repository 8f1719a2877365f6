package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// noGallery lists the verbs that make no picture, or none that a gallery could show, each with the reason.
var noGallery = map[string]string{
	"continue": "paints on what paint began", "rerun": "paints what paint did", "show": "prints", "doctor": "prints",
	"clip score": "prints", "clip embed": "writes numbers", "clip classify": "prints", "clip inspect": "prints",
	"vqgan stats": "prints", "vqgan inspect": "prints",
	"models list": "prints", "models import": "keeps a model", "models info": "prints", "models verify": "prints", "models rm": "removes",
	"models pull": "fetches", "models gallery": "prints",
	"data list": "prints", "data build": "downloads", "data info": "prints", "data index": "writes an index",
	"runs list": "prints", "runs show": "prints",
	"bench engine": "measures", "bench paint": "measures", "bench gan": "measures", "bench quality": "takes hours",
	// Trainings are long, and so is what needs one; docs/training.md and docs/gan.md show their pictures.
	"runs plot": "needs a training", "runs compare": "needs trainings",
	"gan sample": "needs a training", "gan film": "needs a training", "gan compare": "trains", "gan measure": "prints",
}

// offline lists the verbs that no script can run to a good end, because they fetch from the network; scripts run them to a
// refusal.
var offline = []string{"data build"}

// leaves returns the verbs that do something, by their words without the program's name.
func leaves(cmd *cobra.Command) map[string]*cobra.Command {
	out := map[string]*cobra.Command{}
	for _, c := range cmd.Commands() {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if !c.HasSubCommands() {
			out[strings.TrimPrefix(c.CommandPath(), "smalti ")] = c
		}
		for name, leaf := range leaves(c) {
			out[name] = leaf
		}
	}
	return out
}

func read(t *testing.T, pattern string) string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	var b strings.Builder
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(data)
		b.WriteByte('\n')
	}
	return b.String()
}

// TestVerbs is the law of verbs: each has two examples or more, of flags that it has; a script that runs it to a good end;
// and a picture in the gallery, or a reason for none. It walks the command tree, so it stands here and not with the other
// laws at the repository's root.
func TestVerbs(t *testing.T) {
	scripts, gallery := read(t, "testdata/*.txtar"), read(t, "../../docs/gallery/make.sh")
	verbs := leaves((&app{env: os.Getenv}).newRoot())
	if len(verbs) < 40 {
		t.Fatalf("the tree has %d verbs", len(verbs))
	}
	for name, cmd := range verbs {
		checkExamples(t, name, cmd)
		good := ""
		if slices.Contains(offline, name) {
			good = "(! )?"
		}
		runs := regexp.MustCompile(`(?m)^(\[[^\]]+\] *)?` + good + `smalti ` + name + `( +[^-\s].*| +-[^-\n].*| +--[a-gi-z].*)?$`) // --help alone is no run
		if !runs.MatchString(scripts) {
			t.Errorf("no script in testdata runs smalti %s", name)
		}
		shown := regexp.MustCompile(`(?m)^run ` + name + `\b`).MatchString(gallery)
		why := noGallery[name]
		if strings.HasPrefix(name, "train ") {
			why = "trains"
		}
		if shown == (why != "") {
			t.Errorf("smalti %s: in docs/gallery/make.sh %v, and noGallery says %q", name, shown, why)
		}
	}
	for name := range noGallery {
		if verbs[name] == nil {
			t.Errorf("noGallery names smalti %s, which does not exist", name)
		}
	}
}

// checkExamples wants two lines of the verb's own with flags that it knows.
func checkExamples(t *testing.T, name string, cmd *cobra.Command) {
	lines := 0
	flag := regexp.MustCompile(`(?:^| )--([a-z0-9-]+)`)
	for _, line := range strings.Split(cmd.Example, "\n") {
		line = strings.TrimSpace(line)
		at := strings.Index(line, "smalti "+name)
		if at < 0 {
			continue
		}
		lines++
		own, _, _ := strings.Cut(line[at:], " | ")
		for _, m := range flag.FindAllStringSubmatch(own, -1) {
			if cmd.Flag(m[1]) == nil && cmd.InheritedFlags().Lookup(m[1]) == nil {
				t.Errorf("an example of smalti %s has --%s, which it does not know: %s", name, m[1], line)
			}
		}
	}
	if lines < 2 {
		t.Errorf("smalti %s has %d examples, want two", name, lines)
	}
}

// TestGallery: every picture of the docs is made by the command that is printed under it.
func TestGallery(t *testing.T) {
	gallery, docs := read(t, "../../docs/gallery/make.sh"), read(t, "../../docs/play.md")
	under := regexp.MustCompile("!\\[[^\\]]*\\]\\(gallery/([^)]+)\\)((?:,?\\s+`[^`]+`)+)")
	command := regexp.MustCompile("`([^`]+)`")
	out := regexp.MustCompile(` -o \S+`)
	n := 0
	for _, m := range under.FindAllStringSubmatch(docs, -1) {
		file := m[1]
		if _, err := os.Stat(filepath.Join("../../docs/gallery", file)); err != nil {
			t.Errorf("docs/play.md shows %s: %v", file, err)
		}
		all := command.FindAllStringSubmatch(m[2], -1)
		printed := strings.TrimPrefix(all[len(all)-1][1], "smalti ")
		want := "run " + out.ReplaceAllString(printed, "") + " -o " + file
		other := strings.Contains(printed, " "+file) && strings.Contains(gallery, "run "+printed+"\n") // names it by another flag
		if !other && !strings.Contains(gallery, want+"\n") {
			t.Errorf("docs/gallery/make.sh lacks the line %q", want)
		}
		n++
	}
	if shown := strings.Count(docs, "](gallery/"); n != shown || n < 20 {
		t.Errorf("%d of %d pictures in docs/play.md have a command under them", n, shown)
	}
}
