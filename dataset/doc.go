// Package dataset turns sources of captioned pictures into deterministic training batches.
//
// It owns three things:
//
//   - builders of the open data packs: [BuildEmoji] fetches pinned packages with npm, renders them
//     and writes a pack folder (images.zip, pairs.jsonl, NOTICE, pack.json);
//   - sources: a pack ([OpenPack]), somebody's own captioned pictures ([OpenAlbum]) and
//     procedural shapes ([Shapes], no files needed);
//   - the [Composer], which draws sprites into captioned scenes as a pure function of
//     (seed, step, index), and [Augment], the host-side distortions for training on them.
//
// No graph and no tensor library is known here: pictures are float32 planes, height x width x RGB
// interleaved, in [0,1], sRGB-encoded.
//
// Start reading at compose.go (what a training sample is) or emoji.go (where the pictures come from).
package dataset
