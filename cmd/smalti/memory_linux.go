package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
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

// freeMemory is what the system can give without taking it from another program, and inUse what this process has, in bytes; 0 where
// the system does not say.
func freeMemory() int64 { return procField("/proc/meminfo", "MemAvailable") }
func inUse() int64      { return procField("/proc/self/status", "VmRSS") }

// procField reads a line "NAME:  N kB".
func procField(path, name string) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == name+":" {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n << 10
		}
	}
	return 0
}
