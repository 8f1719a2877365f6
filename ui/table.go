package ui

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Table is rows of text in aligned columns. Text is made Printable.
type Table struct {
	head  []string
	right []bool
	rows  [][]string
}

// NewTable returns a table with a heading. A column whose heading starts with ">" is aligned to the right, and the
// sign is not shown. Without headings there is no heading line, as for pairs of a name and a value.
func NewTable(head ...string) *Table {
	t := &Table{}
	for _, h := range head {
		text, right := strings.CutPrefix(h, ">")
		t.head = append(t.head, text)
		t.right = append(t.right, right)
	}
	return t
}

// Row adds a row. It may have fewer or more cells than others.
func (t *Table) Row(cells ...string) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = Printable(c)
	}
	t.rows = append(t.rows, row)
}

// Len returns the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Write writes the table, columns two spaces apart, in one Write.
func (t *Table) Write(w io.Writer) error {
	rows := t.rows
	if len(t.head) > 0 {
		rows = append([][]string{t.head}, rows...)
	}
	var width []int
	for _, r := range rows {
		for i, c := range r {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		var line strings.Builder
		for i, c := range r {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if i > 0 {
				line.WriteString("  ")
			}
			if i < len(t.right) && t.right[i] {
				line.WriteString(pad + c)
			} else {
				line.WriteString(c + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
