package main

import (
	"fmt"
	"syscall"

	"github.com/smalti/smalti/ui"
)

// memory says how much the machine has and how much is free.
func memory() finding {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return finding{what: "memory", value: "unknown"}
	}
	unit := int64(info.Unit)
	return finding{what: "memory", value: fmt.Sprintf("%s, %s of it free", ui.Bytes(int64(info.Totalram)*unit), ui.Bytes(int64(info.Freeram)*unit))}
}
