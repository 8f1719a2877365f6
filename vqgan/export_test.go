package vqgan

// FromDiffusers gives the tests the name table.
var FromDiffusers = fromDiffusers
