// Package smalti is the map of the repository; it holds no code.
//
// A picture's way through the program, in reading order:
//
//	cmd/smalti   reads words and flags, makes a spec.Job, shows events
//	spec         the Job: prompts, size, models, numbers, seed; plain data
//	run          checks names and sizes, loads the models, runs the job, writes the run folder and the picture
//	paint        the loop: latent -> decode -> cuts -> CLIP -> loss -> gradient -> latent
//	vqgan        the decoder and its codebook of small glass pieces
//	clip         the judge of whether a picture fits the words
//	nn, gx       the blocks both are built of, and GoMLX repaired
//	engine       compiles and runs the graphs, on engine/cpu
//	pixel        turns planes into a PNG that carries its recipe
//
// Beside that road: event is what all work reports; rng gives every random draw an address; weights reads other
// people's files without trusting them; store keeps models on disk; dataset and train make models, track keeps their
// numbers; gan, prior and latent are the other models and the play with codes; ui shows events in a terminal; golden and
// tools/parity hold everything against the reference implementations.
//
// docs/architecture.md says what each package owns and what it must not know; layers_test.go enforces it.
package smalti
