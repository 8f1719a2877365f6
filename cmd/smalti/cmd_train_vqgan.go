package main

import (
	"github.com/spf13/cobra"

	"github.com/smalti/smalti/train"
)

func (a *app) newTrainVQGAN() *cobra.Command {
	var o trainOptions
	r := recipe[train.VQGANConfig]{"vqgan", "Train a VQGAN on pictures", defaultPack, train.ShapesData, train.DefaultVQGAN, train.RunVQGAN}
	cmd := trainingCommand(a, r, &o)
	cmd.Flags().StringVar(&o.perceptual, "perceptual", "", "network of the perceptual loss: a CLIP by `NAME` or file, or a file with VGG16 and LPIPS; none for none; default: "+train.BuiltinClip)
	return cmd
}

// perceptualSettings are the changes to train.json that --perceptual stands for.
func (a *app) perceptualSettings(name string) (map[string]any, error) {
	if name == "none" {
		return map[string]any{"perceptual": map[string]any{"model": "", "weight": 0}}, nil
	}
	pin, err := a.pinOf(name)
	return map[string]any{"perceptual": map[string]any{"model": pin.Name}}, err
}
