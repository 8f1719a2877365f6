package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/pixel/filmtest"
	"github.com/smalti/smalti/store/hub/hubtest"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
	"github.com/smalti/smalti/weights/weightstest"
)

// The scripts in testdata type commands as users do. Beside smalti they know a few programs that make input files.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"smalti":   main,
		"mkmodel":  func() { makeModel(os.Args[1], os.Args[2]) },
		"mkpng":    func() { makePicture(os.Args[1:]) },
		"mkpickle": func() { makeHostile(os.Args[1]) },
		"mklarge":  func() { makeLarge(os.Args[1], os.Args[2]) },
		"rss":      func() { limitMemory(os.Args[1:]) },
		"mkpack":   func() { makePack(os.Args[1], os.Args[2], os.Args[3:]) },
		"apt-get":  func() { fakeAptGet(os.Args[1:]) },
		"mkidx":    func() { makeIDX(os.Args[1]) },
		"tint":     func() { tint(os.Args[1:]) },
		"mkpair":   func() { makePair(os.Args[1]) },
		"plays":    func() { checkPlays(os.Args[1], os.Args[2]) },
		"whiter":   func() { checkWhiter(os.Args[1], os.Args[2]) },
		"kept":     func() { checkKept(os.Args[1:]) },
		"truncate": func() { truncate(os.Args[1], os.Args[2]) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir+"/home")
			e.Setenv("GOMAXPROCS", "2")
			h := hubtest.New(e.WorkDir + "/hub") // the hub's repositories are folders of the script
			e.Setenv("HF_ENDPOINT", h.URL)
			e.Defer(h.Close)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "large":
				return os.Getenv("SMALTI_LARGE") != "", nil
			case "avx2", "avx512bf16": // whether this machine runs kernels of the class
				e, err := engine.New(engine.Options{Threads: 1, Class: cond})
				if err == nil {
					e.Close()
				}
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	})
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// makeModel writes a tiny random model: mkmodel clip|vqgan FILE.
func makeModel(kind, path string) {
	e, err := engine.New(engine.Options{Threads: 1})
	fail(err)
	f, err := os.Create(path)
	fail(err)
	switch kind {
	case "vqgan":
		c := vqgan.BuiltinV0()
		c.Ch, c.Groups, c.ChMult, c.NEmbed = 8, 4, []int{1, 1}, 16
		decls, err := c.Decls(e)
		fail(err)
		values, err := engine.Upload(decls, gx.Materialise(decls, 1))
		fail(err)
		fail(vqgan.SaveAs(f, c, values, weights.F16))
	case "clip":
		v := clip.TrimVocab([]string{"a red apple"}, 600)
		c := clip.BuiltinV0(v)
		c.Vision.Widths = []int{4, 4, 4}
		decls, err := c.Decls(e)
		fail(err)
		values, err := engine.Upload(decls, gx.Materialise(decls, 1))
		fail(err)
		fail(clip.SaveAs(f, c, values, weights.F16))
	}
	fail(f.Close())
}

// makePicture writes a picture with some colours: mkpng FILE W H.
func makePicture(args []string) {
	w, err := strconv.Atoi(args[1])
	fail(err)
	h, err := strconv.Atoi(args[2])
	fail(err)
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetNRGBA(x, y, color.NRGBA{uint8(x * 255 / w), uint8(y * 255 / h), 90, 255})
		}
	}
	f, err := os.Create(args[0])
	fail(err)
	fail(png.Encode(f, img))
	fail(f.Close())
}

// makeHostile writes a checkpoint whose pickle asks for a program to be run.
func makeHostile(path string) {
	f, err := os.Create(path)
	fail(err)
	fail(weightstest.WriteLegacyPickle(f, weightstest.HostilePickles()[0].Pickle))
	fail(f.Close())
}

// checkKept fails unless two pictures differ inside a rectangle and nowhere else: kept A B X0 Y0 X1 Y1.
func checkKept(args []string) {
	pics := make([]image.Image, 2)
	for i := range pics {
		img, err := pixel.DecodeFile(args[i])
		fail(err)
		pics[i] = img
	}
	var box [4]int
	for i := range box {
		v, err := strconv.Atoi(args[2+i])
		fail(err)
		box[i] = v
	}
	inside := image.Rect(box[0], box[1], box[2], box[3])
	changed := false
	b := pics[0].Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			same := color.NRGBAModel.Convert(pics[0].At(x, y)) == color.NRGBAModel.Convert(pics[1].At(x, y))
			if !same && !image.Pt(x, y).In(inside) {
				fail(fmt.Errorf("pixel (%d,%d) outside of %v changed", x, y, inside))
			}
			changed = changed || !same
		}
	}
	if !changed {
		fail(fmt.Errorf("nothing changed inside of %v", inside))
	}
}

// truncate cuts a file to a number of bytes: truncate FILE N.
func truncate(path, n string) {
	size, err := strconv.ParseInt(n, 10, 64)
	fail(err)
	fail(os.Truncate(path, size))
}

// checkPlays fails unless a browser plays a film to its end and says so: plays FILE WORDS. Without a browser that starts it
// passes, as the test of package pixel does.
func checkPlays(path, want string) {
	film, err := os.ReadFile(path)
	fail(err)
	said, err := filmtest.Play(context.Background(), film)
	if errors.Is(err, filmtest.ErrNoBrowser) {
		return
	}
	fail(err)
	if said != want {
		fail(fmt.Errorf("the browser says %q, want %q", said, want))
	}
}

// tint writes a picture of a bright disc of one colour: tint FILE R G B.
func tint(args []string) {
	var c [3]int
	for i := range c {
		v, err := strconv.Atoi(args[1+i])
		fail(err)
		c[i] = v
	}
	img := image.NewNRGBA(image.Rect(0, 0, 32, 32))
	for y := range 32 {
		for x := range 32 {
			img.SetNRGBA(x, y, color.NRGBA{240, 240, 240, 255})
			if dx, dy := x-16, y-16; dx*dx+dy*dy < 150 {
				img.SetNRGBA(x, y, color.NRGBA{uint8(c[0]), uint8(c[1]), uint8(c[2]), 255})
			}
		}
	}
	f, err := os.Create(args[0])
	fail(err)
	fail(png.Encode(f, img))
	fail(f.Close())
}

// makePair writes a picture with a red circle in its left half and a blue square in its right one: mkpair FILE.
func makePair(path string) {
	img := image.NewNRGBA(image.Rect(0, 0, 128, 64))
	for y := range 64 {
		for x := range 128 {
			c := color.NRGBA{255, 255, 255, 255}
			if dx, dy := x-32, y-32; dx*dx+dy*dy < 22*22 {
				c = color.NRGBA{220, 20, 30, 255}
			} else if x >= 76 && x < 116 && y >= 12 && y < 52 {
				c = color.NRGBA{30, 60, 220, 255}
			}
			img.SetNRGBA(x, y, c)
		}
	}
	f, err := os.Create(path)
	fail(err)
	fail(png.Encode(f, img))
	fail(f.Close())
}

// checkWhiter fails unless one half of a mask has more light than the other: whiter FILE left|right.
func checkWhiter(path, half string) {
	img, err := pixel.DecodeFile(path)
	fail(err)
	var sum [2]int
	b := img.Bounds()
	for y := range b.Dy() {
		for x := range b.Dx() {
			r, _, _, _ := img.At(b.Min.X+x, b.Min.Y+y).RGBA()
			sum[2*x/b.Dx()] += int(r >> 8)
		}
	}
	if sum[0] == sum[1] || (sum[0] > sum[1]) != (half == "left") {
		fail(fmt.Errorf("the left half has %d, the right one %d", sum[0], sum[1]))
	}
}
