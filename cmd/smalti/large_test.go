package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
	"github.com/smalti/smalti/weights/weightstest"
)

// makeLarge writes a random model of a published size in the layout it was published in: mklarge vit-b-32|f16-16384 FILE.
// It streams: nothing of the file's size is ever in memory.
func makeLarge(kind, path string) {
	e, err := engine.New(engine.Options{Threads: 1})
	fail(err)
	var list []weightstest.Tensor
	options := weightstest.Options{Layout: weightstest.Lightning}
	switch kind {
	case "vit-b-32":
		options.Layout = weightstest.TorchScript
		names, err := clip.ViTB32().FileTensors(e)
		fail(err)
		for i, x := range names {
			if x.DType == weights.I64 {
				list = append(list, weightstest.Tensor{Name: x.Name, DType: x.DType, Shape: x.Shape, Fill: weightstest.Int64s(int64(i))})
				continue
			}
			list = append(list, weightstest.Random(x.Name, x.DType, x.Shape, uint64(i), 0.05))
		}
	case "f16-16384":
		names, err := vqgan.ImageNetF16(16384).FileTensors(e)
		fail(err)
		for i, x := range names {
			list = append(list, weightstest.Random(x.Name, weights.F32, x.Shape, uint64(i), 0.05))
		}
		// The published files carry the discriminator and the perceptual network of their training as well.
		list = append(list, weightstest.Random("loss.everything", weights.F32, []int{17_400_000}, 1, 0.05))
	}
	f, err := os.Create(path)
	fail(err)
	fail(weightstest.WriteTorchZip(f, list, options))
	fail(f.Close())
}

// limitMemory runs a command and fails when its peak resident memory is more than a percentage of a file's size:
// rss PERCENT FILE COMMAND...
func limitMemory(args []string) {
	percent, err := strconv.ParseInt(args[0], 10, 64)
	fail(err)
	info, err := os.Stat(args[1])
	fail(err)
	cmd := exec.Command(args[2], args[3:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	fail(cmd.Run())
	peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10 // kilobytes on Linux
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	fmt.Printf("peak %d MB for a file of %d MB, %d %%; %v of processor\n", peak>>20, info.Size()>>20, peak*100/info.Size(), used)
	if peak > info.Size()*percent/100 {
		fmt.Fprintln(os.Stderr, "too much memory")
		os.Exit(1)
	}
}
