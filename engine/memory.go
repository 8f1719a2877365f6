package engine

import (
	"fmt"

	"github.com/gomlx/compute/shapes"

	"github.com/smalti/smalti/engine/cpu"
)

// Memory says what a program's runs need besides inputs, outputs and packed weights.
type Memory = cpu.Memory

// Memory compiles the program for inputs of the given shapes, and late ones if it is Staged, and returns what its runs need.
// No input needs to exist.
func (p *Program) Memory(in, late []shapes.Shape) (Memory, error) {
	c, err := p.compile(in, late)
	if err != nil {
		return Memory{}, fmt.Errorf("engine: compile %s: %w", p.name, err)
	}
	return c.g.Executable().(*cpu.Executable).Memory(), nil
}

// Units compiles the program as Memory does and counts what its runs do, by name.
func (p *Program) Units(in, late []shapes.Shape) (map[string]int, error) {
	c, err := p.compile(in, late)
	if err != nil {
		return nil, fmt.Errorf("engine: compile %s: %w", p.name, err)
	}
	return c.g.Executable().(*cpu.Executable).Units(), nil
}
