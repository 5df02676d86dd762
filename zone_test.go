package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// makeZone makes a time zone in which the clocks are about to change, since no real one can be relied on to be near that:
// zone NAME BY IN, such as zone Test/Back -2h 10h. The program finds it by its name, and TZ by its path, zoneinfo/NAME.
func makeZone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: zone NAME BY IN")
	}
	by, err := time.ParseDuration(args[1])
	ts.Check(err)
	in, err := time.ParseDuration(args[2])
	ts.Check(err)
	// Version 1 of the format of RFC 9636: a header with its counts, one change, two kinds of time with their names.
	file := []byte("TZif\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for _, n := range []int64{0, 0, 0, 1, 2, 8, time.Now().Add(in).Unix()} {
		file = binary.BigEndian.AppendUint32(file, uint32(n))
	}
	file = append(file, 1)                // to the second kind
	file = append(file, 0, 0, 0, 0, 0, 0) // UTC, no summer time, the first name
	file = binary.BigEndian.AppendUint32(file, uint32(int32(by.Seconds())))
	file = append(file, 0, 4)
	file = append(file, "BEF\x00AFT\x00"...)
	path := filepath.Join(ts.MkAbs("zoneinfo"), args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, file, 0o644))
	ts.Setenv("ZONEINFO", ts.MkAbs("zoneinfo"))
}
