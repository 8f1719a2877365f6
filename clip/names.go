package clip

import (
	"fmt"
	"strings"

	"github.com/smalti/smalti/gx"
)

// layout is a way in which files name and arrange the variables of the graphs, whose names are OpenAI's keys.
type layout struct {
	// find returns the tensors that hold a variable, to be put one below the other, and how they are arranged.
	find func(name string, own gx.Layout) (names []string, in gx.Layout)
	// ignored reports tensors that say nothing that the shapes do not.
	ignored func(name string) bool
}

// openAIKeys is the state dict of openai/CLIP, as a pickle, in a TorchScript archive or as safetensors.
var openAIKeys = layout{
	find: func(name string, own gx.Layout) ([]string, gx.Layout) { return []string{name}, own },
	ignored: func(name string) bool {
		switch name {
		case "input_resolution", "context_length", "vocab_size":
			return true
		}
		return strings.HasSuffix(name, ".num_batches_tracked")
	},
}

// huggingFaceKeys is CLIPModel of the transformers library.
var huggingFaceKeys = layout{
	find: func(name string, own gx.Layout) ([]string, gx.Layout) {
		if to, ok := huggingFaceNames[name]; ok {
			if own == gx.Plain && (name == "visual.proj" || name == "text_projection") {
				own = gx.Linear // transformers made linear layers of the projections
			}
			return []string{to}, own
		}
		for from, to := range map[string]string{"visual.transformer.resblocks.": "vision_model", "transformer.resblocks.": "text_model"} {
			if rest, ok := strings.CutPrefix(name, from); ok {
				number, part, _ := strings.Cut(rest, ".")
				var names []string
				for _, p := range huggingFaceBlock[part] {
					names = append(names, fmt.Sprintf("%s.encoder.layers.%s.%s", to, number, p))
				}
				return names, own
			}
		}
		return nil, own
	},
	ignored: func(name string) bool {
		return name == "vision_model.embeddings.position_ids" || name == "text_model.embeddings.position_ids"
	},
}

// huggingFaceNames are the names outside of the blocks ("layrnorm" is theirs).
var huggingFaceNames = map[string]string{
	"visual.conv1.weight":         "vision_model.embeddings.patch_embedding.weight",
	"visual.class_embedding":      "vision_model.embeddings.class_embedding",
	"visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
	"visual.ln_pre.weight":        "vision_model.pre_layrnorm.weight",
	"visual.ln_pre.bias":          "vision_model.pre_layrnorm.bias",
	"visual.ln_post.weight":       "vision_model.post_layernorm.weight",
	"visual.ln_post.bias":         "vision_model.post_layernorm.bias",
	"visual.proj":                 "visual_projection.weight",
	"token_embedding.weight":      "text_model.embeddings.token_embedding.weight",
	"positional_embedding":        "text_model.embeddings.position_embedding.weight",
	"ln_final.weight":             "text_model.final_layer_norm.weight",
	"ln_final.bias":               "text_model.final_layer_norm.bias",
	"text_projection":             "text_projection.weight",
	"logit_scale":                 "logit_scale",
}

// huggingFaceBlock are the names inside a block, where queries, keys and values have a matrix each.
var huggingFaceBlock = map[string][]string{
	"attn.in_proj_weight":  {"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"},
	"attn.in_proj_bias":    {"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"},
	"attn.out_proj.weight": {"self_attn.out_proj.weight"},
	"attn.out_proj.bias":   {"self_attn.out_proj.bias"},
	"ln_1.weight":          {"layer_norm1.weight"},
	"ln_1.bias":            {"layer_norm1.bias"},
	"ln_2.weight":          {"layer_norm2.weight"},
	"ln_2.bias":            {"layer_norm2.bias"},
	"mlp.c_fc.weight":      {"mlp.fc1.weight"},
	"mlp.c_fc.bias":        {"mlp.fc1.bias"},
	"mlp.c_proj.weight":    {"mlp.fc2.weight"},
	"mlp.c_proj.bias":      {"mlp.fc2.bias"},
}
