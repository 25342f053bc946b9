//go:build !linux

package main

import (
	"errors"
	"syscall"
	"time"
)

// errLinuxOnly is the answer of everything that reads the kernel's books.
var errLinuxOnly = errors.New("the bench needs Linux: it reads processor times and pins processes")

func processTime(int) (time.Duration, error)            { return 0, errLinuxOnly }
func machineTime() (time.Duration, error)               { return 0, errLinuxOnly }
func usableCores() ([]int, error)                       { return nil, errLinuxOnly }
func pinThread([]int) error                             { return errLinuxOnly }
func pinSelf([]int) error                               { return errLinuxOnly }
func peakMemory(int) (float64, error)                   { return 0, errLinuxOnly }
func forgetPeak(int) error                              { return errLinuxOnly }
func groupPriority() string                             { return "" }
func forget(string) error                               { return errLinuxOnly }
func childAttributes() *syscall.SysProcAttr             { return nil }
func exactSleeper()                                     {}
func sleepExactly(d time.Duration)                      { time.Sleep(d) }
func machineFacts() (kernel, model, loadAverage string) { return "", "", "" }
