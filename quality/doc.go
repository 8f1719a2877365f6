// Package quality measures how well pictures show what their prompts say, by a judge that had no part in painting them. It
// knows captions, ranks and errors; whoever paints, and which models judge, is the caller's.
//
// Start with Prompts, Pools and Measure; Compare sets two ways of painting side by side.
package quality
