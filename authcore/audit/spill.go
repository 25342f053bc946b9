package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// A spill file keeps batches of events that the database does not take: one line
// each, a CRC-32C in eight hexadecimal digits, a space, and the events in JSON.
// Lines are only appended. The end of a line that a crash cut off is taken away
// when the file is opened again; a line that was damaged is left out and reported.
type spillFile struct {
	f    *os.File
	read int64 // what was written to the database already ends here
	size int64
}

// SpillPlace is where spill files are. Each process has its own; those of processes
// that died are taken over by the next one.
type SpillPlace struct {
	Dir  string
	Name string // names the database, so that events of another one stay away
}

const spillEnding = ".spill"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// open opens a new file for this process.
func (p SpillPlace) open() (*spillFile, error) {
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(p.Dir, p.Name+"-*"+spillEnding) // mode 0600
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return &spillFile{f: f}, nil
}

// left gives the files of processes that died, oldest first, locked.
func (p SpillPlace) left() []*spillFile {
	names, _ := filepath.Glob(filepath.Join(p.Dir, p.Name+"-*"+spillEnding))
	var all []*spillFile
	var ages []os.FileInfo
	for _, name := range names {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if lock(f) != nil {
			f.Close()
			continue
		}
		info, err := f.Stat()
		size, err2 := wholeLines(f)
		if errors.Join(err, err2) != nil {
			f.Close()
			continue
		}
		at, _ := slices.BinarySearchFunc(ages, info, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
		ages = slices.Insert(ages, at, info)
		all = slices.Insert(all, at, &spillFile{f: f, size: size})
	}
	return all
}

// wholeLines takes away what a crash left of a line, and gives the size of the rest.
func wholeLines(f *os.File) (int64, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	var one [1]byte
	for whole := size; whole >= 0; whole-- {
		if whole > 0 {
			if _, err := f.ReadAt(one[:], whole-1); err != nil {
				return 0, err
			}
		}
		if whole == 0 || one[0] == '\n' {
			return whole, f.Truncate(whole)
		}
	}
	return size, nil
}

// add appends a batch. A line that did not arrive whole is taken away again.
func (s *spillFile) add(events []authcore.Event) error {
	line, err := spillLine(events)
	if err != nil {
		return err
	}
	if n, err := s.f.WriteAt(line, s.size); err != nil {
		if n > 0 {
			err = errors.Join(err, s.f.Truncate(s.size))
		}
		return err
	}
	s.size += int64(len(line))
	return nil
}

func spillLine(events []authcore.Event) ([]byte, error) {
	body, err := json.Marshal(events)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(body, castagnoli), body), nil
}

var errDamaged = errors.New("a line of the audit spill file is damaged; its events are lost")

// next reads the first batch that the database does not have yet, and where it
// ends. It returns io.EOF where there is none, and errDamaged for a line to be
// skipped.
func (s *spillFile) next() (events []authcore.Event, end int64, err error) {
	if s.read >= s.size {
		return nil, s.read, io.EOF
	}
	r := bufio.NewReader(io.NewSectionReader(s.f, s.read, s.size-s.read))
	line, err := r.ReadBytes('\n')
	end = s.read + int64(len(line))
	if errors.Is(err, io.EOF) { // cut off by a crash: nobody was told that it is kept
		return nil, end, io.EOF
	}
	if err != nil {
		return nil, s.read, err
	}
	events, err = parseSpill(line)
	return events, end, err
}

// parseSpill reads a line.
func parseSpill(line []byte) (events []authcore.Event, err error) {
	sum, body, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	if !ok || len(sum) != 8 {
		return nil, errDamaged
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || crc32.Checksum(body, castagnoli) != uint32(want) || json.Unmarshal(body, &events) != nil {
		return nil, errDamaged
	}
	return events, nil
}

// done says that the database has everything up to there.
func (s *spillFile) done(end int64) { s.read = end }

func (s *spillFile) empty() bool { return s.read >= s.size }

// remove closes the file, and deletes it: the database has everything.
func (s *spillFile) remove() error { return errors.Join(s.f.Close(), os.Remove(s.f.Name())) }

// keep closes the file for the next process.
func (s *spillFile) keep() error { return errors.Join(s.f.Sync(), s.f.Close()) }
