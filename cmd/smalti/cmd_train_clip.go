package main

import (
	"github.com/spf13/cobra"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/train"
)

func (a *app) newTrainClip() *cobra.Command {
	var o trainOptions
	r := recipe[train.ClipConfig]{"clip", "Train a CLIP on captioned pictures", defaultPack, train.ShapesData, train.DefaultClip, train.RunClip}
	cmd := trainingCommand(a, r, &o)
	cmd.Flags().StringVar(&o.role, "role", "", "what it is for: judge measures pictures (smalti bench quality) and is refused as a guide; default: guides")
	return cmd
}

// roleSettings are the settings of a role, in the place of the defaults.
func roleSettings(role string) (any, error) {
	if role != clip.Judge {
		return nil, spec.Refusef("the roles are: "+clip.Judge, "--role %q is unknown", role)
	}
	return train.DefaultJudge(), nil
}
