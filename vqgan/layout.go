package vqgan

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/smalti/smalti/weights"
)

// layout maps the variables of the model, which have taming's names, to the tensors of a file that calls them
// differently. The empty layout is taming's.
type layout map[string]string

// file returns the file's name of a variable; of one that the file does not have, the variable's own.
func (names layout) file(variable string) string {
	if n, ok := names[variable]; ok {
		return n
	}
	return variable
}

// layoutOf tells the layout of a file from its names: taming's, or diffusers' VQModel.
func layoutOf(l *weights.Loader) layout {
	all := l.Names()
	levels := 0
	for _, n := range all {
		if rest, ok := strings.CutPrefix(n, "decoder.up_blocks."); ok {
			number, _, _ := strings.Cut(rest, ".")
			if i, err := strconv.Atoi(number); err == nil {
				levels = max(levels, i+1)
			}
		}
	}
	out := layout{}
	if levels == 0 {
		return out
	}
	for _, n := range all {
		if t := fromDiffusers(n, levels); t != "" {
			out[t] = n
		}
	}
	return out
}

// diffusersNames is the table from diffusers' names to taming's. # is a number that both have in this place, ^ one that
// counts the levels from the other end.
var diffusersNames = []struct{ theirs, ours string }{
	{"encoder.conv_in", "encoder.conv_in"},
	{"encoder.down_blocks.#.resnets.#.norm1", "encoder.down.#.block.#.norm1"},
	{"encoder.down_blocks.#.resnets.#.conv1", "encoder.down.#.block.#.conv1"},
	{"encoder.down_blocks.#.resnets.#.norm2", "encoder.down.#.block.#.norm2"},
	{"encoder.down_blocks.#.resnets.#.conv2", "encoder.down.#.block.#.conv2"},
	{"encoder.down_blocks.#.resnets.#.conv_shortcut", "encoder.down.#.block.#.nin_shortcut"},
	{"encoder.down_blocks.#.attentions.#.ATTENTION", "encoder.down.#.attn.#.ATTENTION"},
	{"encoder.down_blocks.#.downsamplers.0.conv", "encoder.down.#.downsample.conv"},
	{"SIDE.mid_block.resnets.0.norm1", "SIDE.mid.block_1.norm1"},
	{"SIDE.mid_block.resnets.0.conv1", "SIDE.mid.block_1.conv1"},
	{"SIDE.mid_block.resnets.0.norm2", "SIDE.mid.block_1.norm2"},
	{"SIDE.mid_block.resnets.0.conv2", "SIDE.mid.block_1.conv2"},
	{"SIDE.mid_block.attentions.0.ATTENTION", "SIDE.mid.attn_1.ATTENTION"},
	{"SIDE.mid_block.resnets.1.norm1", "SIDE.mid.block_2.norm1"},
	{"SIDE.mid_block.resnets.1.conv1", "SIDE.mid.block_2.conv1"},
	{"SIDE.mid_block.resnets.1.norm2", "SIDE.mid.block_2.norm2"},
	{"SIDE.mid_block.resnets.1.conv2", "SIDE.mid.block_2.conv2"},
	{"SIDE.conv_norm_out", "SIDE.norm_out"},
	{"SIDE.conv_out", "SIDE.conv_out"},
	{"quant_conv", "quant_conv"},
	{"quantize.embedding", "quantize.embedding"},
	{"post_quant_conv", "post_quant_conv"},
	{"decoder.conv_in", "decoder.conv_in"},
	{"decoder.up_blocks.^.resnets.#.norm1", "decoder.up.^.block.#.norm1"},
	{"decoder.up_blocks.^.resnets.#.conv1", "decoder.up.^.block.#.conv1"},
	{"decoder.up_blocks.^.resnets.#.norm2", "decoder.up.^.block.#.norm2"},
	{"decoder.up_blocks.^.resnets.#.conv2", "decoder.up.^.block.#.conv2"},
	{"decoder.up_blocks.^.resnets.#.conv_shortcut", "decoder.up.^.block.#.nin_shortcut"},
	{"decoder.up_blocks.^.attentions.#.ATTENTION", "decoder.up.^.attn.#.ATTENTION"},
	{"decoder.up_blocks.^.upsamplers.0.conv", "decoder.up.^.upsample.conv"},
}

// diffusersAttention is what ATTENTION stands for: the names up to diffusers 0.14 and those since.
var diffusersAttention = []struct{ theirs, ours string }{
	{"group_norm", "norm"},
	{"query", "q"}, {"to_q", "q"},
	{"key", "k"}, {"to_k", "k"},
	{"value", "v"}, {"to_v", "v"},
	{"proj_attn", "proj_out"}, {"to_out.0", "proj_out"},
}

// rule is a row of the table ready for matching.
type rule struct {
	theirs *regexp.Regexp
	ours   []string // parts between the numbers
	flip   bool     // the first number counts from the other end
}

var diffusersRules = compileRules()

func compileRules() []rule {
	var out []rule
	add := func(theirs, ours string) {
		pattern := strings.NewReplacer(`\#`, `(\d+)`, "#", `(\d+)`, `\^`, `(\d+)`).Replace(regexp.QuoteMeta(theirs))
		parts := strings.FieldsFunc(ours, func(r rune) bool { return r == '#' || r == '^' })
		out = append(out, rule{regexp.MustCompile(`^` + pattern + `\.(weight|bias)$`), parts, strings.Contains(ours, "^")})
	}
	for _, n := range diffusersNames {
		for _, side := range []string{"encoder", "decoder"} {
			theirs, ours := strings.ReplaceAll(n.theirs, "SIDE", side), strings.ReplaceAll(n.ours, "SIDE", side)
			if theirs == n.theirs && side == "decoder" {
				continue // stands for itself once
			}
			if !strings.Contains(theirs, "ATTENTION") {
				add(theirs, ours)
				continue
			}
			for _, a := range diffusersAttention {
				add(strings.ReplaceAll(theirs, "ATTENTION", a.theirs), strings.ReplaceAll(ours, "ATTENTION", a.ours))
			}
		}
	}
	return out
}

// fromDiffusers returns taming's name of a tensor in a file of diffusers' for a model of the given number of levels,
// empty when the table has none.
func fromDiffusers(name string, levels int) string {
	for _, r := range diffusersRules {
		m := r.theirs.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		numbers := m[1 : len(m)-1]
		var b strings.Builder
		for i, part := range r.ours {
			b.WriteString(part)
			if i >= len(numbers) {
				continue
			}
			number := numbers[i]
			if k, err := strconv.Atoi(number); err == nil && i == 0 && r.flip {
				number = strconv.Itoa(levels - 1 - k)
			}
			b.WriteString(number)
		}
		return b.String() + "." + m[len(m)-1]
	}
	return ""
}
