package gx

// Attribute lets the external tests, which may import engine, see the private reader.
var Attribute = attribute
