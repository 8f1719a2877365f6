package weightstest

// Hostile is a pickle that Python would run code for.
type Hostile struct {
	Name   string
	Pickle []byte
	Global string // what it would call
}

// HostilePickles returns pickles that reach for code in each of the ways that the format offers. The command in them
// makes a file named owned in the working folder.
func HostilePickles() []Hostile {
	const command = "touch owned"
	call := func(p *Pickle) *Pickle { return p.Op("(").Str(command).Op("tR") }
	return []Hostile{
		{"root", call(NewPickle().Global("posix", "system")).Bytes(), "posix.system"},
		{"value in a state_dict", call(NewPickle().OrderedDict().Op("(").Str("w").Global("os", "system")).Op("u").Bytes(), "os.system"},
		{"key", call(NewPickle().Op("}").Global("subprocess", "Popen")).Op("Ns").Bytes(), "subprocess.Popen"},
		{"eval", call(NewPickle().Global("builtins", "eval")).Bytes(), "builtins.eval"},
		{"Python 2 eval", call(NewPickle().Global("__builtin__", "eval")).Bytes(), "__builtin__.eval"},
		{"exec by stack", call(NewPickle().Str("builtins").Str("exec").Op("\x93")).Bytes(), "builtins.exec"},
		{"dotted name", call(NewPickle().Str("os.path").Str("os.system").Op("\x93")).Bytes(), "os.path.os.system"},
		{"dotted eval", call(NewPickle().Str("builtins").Str("eval.__call__").Op("\x93")).Bytes(), "builtins.eval.__call__"},
		{"INST", NewPickle().Op("(").Str(command).Op("ios\nsystem\n").Bytes(), "os.system"},
		{"OBJ", NewPickle().Op("(").Global("os", "system").Str(command).Op("o").Bytes(), "os.system"},
		{"NEWOBJ", NewPickle().Global("subprocess", "Popen").Op("(").Str(command).Op("t\x81").Bytes(), "subprocess.Popen"},
		{"popped", call(NewPickle().Global("nt", "system")).Op("0}").Bytes(), "nt.system"},
		{"state", call(NewPickle().OrderedDict().Global("builtins", "__import__")).Op("b").Bytes(), "builtins.__import__"},
		{"reduce of reduce", call(NewPickle().Global("builtins", "getattr").Op("(").Global("importlib", "import_module").Str("x").Op("tR")).Bytes(), "importlib.import_module"},
		{"inner pickle", call(NewPickle().Global("pickle", "loads")).Bytes(), "pickle.loads"},
		{"torch.load", call(NewPickle().Global("torch.serialization", "load")).Bytes(), "torch.serialization.load"},
	}
}
