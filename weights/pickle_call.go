package weights

import "strings"

// stepCall does the operations that name a class or function, and those that would call one.
func (u *unpickler) stepCall(op byte) error {
	switch op {
	case 'c': // GLOBAL
		g, err := u.globalLines()
		u.push(g)
		return err
	case 0x93: // STACK_GLOBAL
		args, err := u.popN(2)
		if err != nil {
			return err
		}
		module, ok1 := args[0].(string)
		name, ok2 := args[1].(string)
		if !ok1 || !ok2 {
			return formatf("names a global by %s and %s", describe(args[0]), describe(args[1]))
		}
		g := global{module, name}
		u.push(g)
		return g.check()
	case 'i': // INST
		g, err := u.globalLines()
		if err != nil {
			return err
		}
		args, err := u.popMark()
		u.push(u.construct(g, args))
		return err
	case 'o': // OBJ
		args, err := u.popMark()
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return formatf("makes an object of no class")
		}
		u.push(u.construct(args[0], args[1:]))
		return nil
	}
	n := 2 // REDUCE and NEWOBJ; NEWOBJ_EX has keywords as well
	if op == 0x92 {
		n = 3
	}
	parts, err := u.popN(n)
	if err != nil {
		return err
	}
	args, ok := parts[1].(tuple)
	if !ok {
		return formatf("calls with %s in place of a tuple", describe(parts[1]))
	}
	u.push(u.construct(parts[0], args))
	return nil
}

// globalLines reads a module and a name.
func (u *unpickler) globalLines() (global, error) {
	module, err := u.line()
	if err != nil {
		return global{}, err
	}
	name, err := u.line()
	if err != nil {
		return global{}, err
	}
	g := global{module, name}
	return g, g.check()
}

// Modules of which no function belongs in a checkpoint, and single functions of others. All of them can run code or
// reach outside the process. Nothing is ever called, so the list only decides whether a file is worth trusting at all.
var (
	unsafeModules = set("os", "posix", "nt", "subprocess", "pty", "commands", "popen2", "socket", "shutil", "sys", "importlib",
		"imp", "runpy", "code", "codeop", "ctypes", "_ctypes", "pickle", "_pickle", "cPickle", "marshal", "webbrowser", "pip",
		"pdb", "bdb", "timeit", "profile", "cProfile", "trace", "platform", "urllib", "http", "requests", "ftplib", "smtplib", "ssl")
	unsafeNames = set("builtins.eval", "builtins.exec", "builtins.compile", "builtins.open", "builtins.__import__",
		"builtins.execfile", "builtins.input", "builtins.breakpoint", "builtins.file", "builtins.apply", "builtins.globals",
		"builtins.locals", "builtins.vars", "io.open", "_io.open", "types.CodeType", "types.FunctionType", "torch.load", "torch.hub",
		"torch.serialization.load", "torch.jit.load", "numpy.load", "operator.methodcaller", "asyncio.unix_events",
		"multiprocessing.util", "numpy.testing._private.utils.runstring", "torch.utils.cpp_extension", "torch._inductor.codecache")
)

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// check refuses a global that could run code.
func (g global) check() error {
	if len(g.module)+len(g.name) > maxName {
		return formatf("names a global of more than %d bytes", maxName)
	}
	module := g.module
	if rest, ok := strings.CutPrefix(module, "__builtin"); ok && (rest == "__" || rest == "s__") {
		module = "builtins" // Python 2, and the alias in every module
	}
	top, _, _ := strings.Cut(module, ".")
	bad := unsafeModules[top]
	// A name may have dots, and a module may be given as a part of a longer path: look at every prefix.
	full := module + "." + g.name
	for i := 0; i < len(full) && !bad; i++ {
		if full[i] == '.' {
			bad = unsafeNames[full[:i]]
		}
	}
	if bad || unsafeNames[full] {
		return &UnsafePickleError{Global: g.String()}
	}
	return nil
}

// construct returns what calling fn with args would give for the few constructors that checkpoints are made of, and an
// opaque object for all others.
func (u *unpickler) construct(fn any, args tuple) any {
	g, _ := fn.(global)
	switch g {
	case global{"collections", "OrderedDict"}, global{"builtins", "dict"}, global{"__builtin__", "dict"}:
		return u.newDict(args)
	case global{"collections", "defaultdict"}:
		return &dict{}
	case global{"torch", "Size"}:
		if len(args) == 1 {
			if t, ok := args[0].(tuple); ok {
				return t
			}
		}
	case global{"torch._utils", "_rebuild_tensor"}, global{"torch._utils", "_rebuild_tensor_v2"}:
		return rebuildTensor(args, InvalidDType)
	case global{"torch._utils", "_rebuild_tensor_v3"}:
		if len(args) > 6 {
			return rebuildTensor(args, torchDType(args[6]))
		}
	case global{"torch._utils", "_rebuild_parameter"}, global{"torch._utils", "_rebuild_parameter_with_state"},
		global{"torch.nn.parameter", "Parameter"}, global{"torch.nn.parameter", "Buffer"}, global{"torch.jit._pickle", "restore_type_tag"}:
		if len(args) > 0 {
			return args[0]
		}
	case global{"torch._tensor", "_rebuild_from_type_v2"}, global{"torch._tensor", "_rebuild_from_type"}:
		if len(args) > 2 {
			inner, ok := args[2].(tuple)
			// Only the tensor functions are allowed inside, so this cannot recurse further.
			if f, _ := args[0].(global); ok && f.module == "torch._utils" {
				return u.construct(f, inner)
			}
		}
	}
	if g.module == "torch._utils" && strings.HasPrefix(g.name, "_rebuild") {
		return &badTensor{"it is built by " + g.String() + ", which is not supported"}
	}
	return &object{class: fn, args: args}
}

// newDict makes an ordered dictionary, empty or from a list of pairs.
func (u *unpickler) newDict(args tuple) any {
	d := &dict{}
	if len(args) == 0 {
		return d
	}
	var pairs []any
	switch v := args[0].(type) {
	case *list:
		pairs = v.items
	case tuple:
		pairs = v
	case *dict:
		return v
	}
	u.ops += len(pairs) // the same list may be handed over again and again
	for _, p := range pairs {
		if u.ops > maxPickleOps {
			break // run reports it
		}
		var kv []any
		switch v := p.(type) {
		case *list:
			kv = v.items
		case tuple:
			kv = v
		}
		if len(kv) == 2 {
			d.set(kv[0], kv[1])
		}
	}
	return d
}
