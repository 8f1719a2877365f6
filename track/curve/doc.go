// Package curve draws curves: figures of one or more panels as PNG and SVG, and charts of braille dots for a terminal.
//
// Start with Plot and Chart. prepare.go smooths, thins and scales; axis.go chooses ticks; figure.go lays out panels as
// lines, boxes and words (scene.go), which svg.go writes and png.go paints.
package curve
