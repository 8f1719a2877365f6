package weights

func readTorchZip(m *mapping) (*File, error) { return nil, formatf("torch zip archives: not read yet") }
func readLegacy(m *mapping) (*File, error)   { return nil, formatf("legacy pickles: not read yet") }
