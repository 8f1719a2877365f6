package pixel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// ErrNoFFmpeg says that the program ffmpeg, which makes MP4 of frames, is not installed.
var ErrNoFFmpeg = errors.New("MP4 needs the program ffmpeg, which is not installed")

// FFmpegArgs is the command line with which ffmpeg turns raw RGB frames of w x h pixels on its standard input into an
// H.264 film at path. That takes even sizes only: of odd ones the last row or column is repeated.
func FFmpegArgs(w, h int, f Film, path string) []string {
	args := []string{"-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", fmt.Sprintf("%dx%d", w, h),
		"-framerate", fmt.Sprintf("1000000000/%d", int64(f.Delay)), "-i", "pipe:0"}
	if w%2+h%2 > 0 {
		args = append(args, "-vf", fmt.Sprintf("pad=%d:%d,fillborders=right=%d:bottom=%d:mode=smear", w+w%2, h+h%2, w%2, h%2))
	}
	return append(args, "-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4", "file:"+path)
}

// FindFFmpeg returns the path of ffmpeg, or ErrNoFFmpeg.
func FindFFmpeg() (string, error) {
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		return "", ErrNoFFmpeg
	}
	return program, nil
}

// WriteMP4 lets ffmpeg write a film to a file, or returns ErrNoFFmpeg. It is the only format whose bytes depend on the
// machine. The file is complete or absent.
func WriteMP4(ctx context.Context, path string, f Film) error {
	program, err := FindFFmpeg()
	if err != nil {
		return err
	}
	part := path + ".part"
	if err := encodeMP4(ctx, program, part, f); err != nil {
		os.Remove(part)
		return fmt.Errorf("write mp4: %w", err)
	}
	return os.Rename(part, path)
}

func encodeMP4(ctx context.Context, program, path string, f Film) error {
	var cmd *exec.Cmd
	var said bytes.Buffer
	var in interface {
		Write([]byte) (int, error)
		Close() error
	}
	err := f.each(func(i int, r raster) (err error) {
		if i == 0 {
			cmd = exec.CommandContext(ctx, program, FFmpegArgs(r.w, r.h, f, path)...)
			cmd.Stderr = &said
			if in, err = cmd.StdinPipe(); err != nil {
				return err
			}
			if err = cmd.Start(); err != nil {
				return err
			}
		}
		_, err = in.Write(r.pix)
		return err
	})
	if cmd == nil || cmd.Process == nil {
		return err
	}
	in.Close()
	if wait := cmd.Wait(); wait != nil { // it explains why writing to it failed
		err = fmt.Errorf("ffmpeg: %w: %s", wait, strings.TrimSpace(said.String()))
	}
	return err
}
