package audit

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// A spill file keeps batches of events that the database does not take: one line
// each, a CRC-32C in eight hexadecimal digits, a space, and the events in base64.
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

// left gives the files of processes that died, oldest first, locked. alarm is told of
// those that cannot be read.
func (p SpillPlace) left(alarm func(error)) []*spillFile {
	entries, err := os.ReadDir(p.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		alarm(fmt.Errorf("audit spill files cannot be looked for: %w", err))
	}
	var all []*spillFile
	var ages []os.FileInfo
	for _, entry := range entries {
		if name := entry.Name(); !entry.Type().IsRegular() || !strings.HasPrefix(name, p.Name+"-") || !strings.HasSuffix(name, spillEnding) {
			continue
		}
		f, err := os.OpenFile(filepath.Join(p.Dir, entry.Name()), os.O_RDWR, 0)
		if err != nil {
			alarm(fmt.Errorf("an audit spill file cannot be written to the database: %w", err))
			continue
		}
		if lock(f) != nil {
			f.Close()
			continue
		}
		info, err := f.Stat()
		size, err2 := wholeLines(f)
		if err := errors.Join(err, err2); err != nil {
			alarm(fmt.Errorf("an audit spill file cannot be written to the database: %w", err))
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
	buf := make([]byte, 64<<10)
	for whole := size; whole > 0; {
		part := buf[:min(int64(len(buf)), whole)]
		if _, err := f.ReadAt(part, whole-int64(len(part))); err != nil {
			return 0, err
		}
		if at := bytes.LastIndexByte(part, '\n'); at >= 0 {
			whole += int64(at+1) - int64(len(part))
			return whole, f.Truncate(whole)
		}
		whole -= int64(len(part))
	}
	return 0, f.Truncate(0)
}

// add appends a batch. A line that did not arrive whole is taken away again.
func (s *spillFile) add(events []authcore.Event) error {
	line := spillLine(events)
	if n, err := s.f.WriteAt(line, s.size); err != nil {
		if n > 0 {
			err = errors.Join(err, s.f.Truncate(s.size))
		}
		return err
	}
	s.size += int64(len(line))
	return nil
}

func spillLine(events []authcore.Event) []byte {
	body := make([]byte, 0, 256*len(events))
	for i := range events {
		body = appendEvent(body, &events[i])
	}
	line := fmt.Appendf(make([]byte, 0, 10+base64.StdEncoding.EncodedLen(len(body))), "%08x ", crc32.Checksum(body, castagnoli))
	return append(base64.StdEncoding.AppendEncode(line, body), '\n')
}

// spilledTexts are the fields of an event that are text, in their order in a file.
func spilledTexts(e *authcore.Event) [11]*string {
	by := &e.Actor
	return [...]*string{&e.ID, (*string)(&by.Kind), (*string)(&by.User), (*string)(&by.Session), &by.Client.Address, &by.Client.Agent,
		&by.Client.RequestID, (*string)(&e.Action), &e.Target, (*string)(&e.Outcome), &e.Details}
}

// appendEvent writes the time in microseconds and then each text with its length.
func appendEvent(b []byte, e *authcore.Event) []byte {
	b = binary.AppendVarint(b, e.Time.UnixMicro())
	for _, text := range spilledTexts(e) {
		b = binary.AppendUvarint(b, uint64(len(*text)))
		b = append(b, *text...)
	}
	return b
}

// readEvent reads what appendEvent wrote, and gives the rest.
func readEvent(b string) (e authcore.Event, rest string, ok bool) {
	at, n := binary.Varint([]byte(b[:min(len(b), binary.MaxVarintLen64)]))
	if n <= 0 {
		return e, b, false
	}
	e.Time = time.UnixMicro(at).UTC()
	b = b[n:]
	for _, text := range spilledTexts(&e) {
		size, n := binary.Uvarint([]byte(b[:min(len(b), binary.MaxVarintLen64)]))
		if n <= 0 || size > uint64(len(b)-n) {
			return e, b, false
		}
		*text, b = b[n:n+int(size)], b[n+int(size):]
	}
	return e, b, true
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
	raw, err2 := base64.StdEncoding.AppendDecode(nil, body)
	if errors.Join(err, err2) != nil || crc32.Checksum(raw, castagnoli) != uint32(want) {
		return nil, errDamaged
	}
	for rest := string(raw); rest != ""; {
		e, more, ok := readEvent(rest)
		if !ok {
			return nil, errDamaged
		}
		events, rest = append(events, e), more
	}
	return events, nil
}

// done says that the database has everything up to there.
func (s *spillFile) done(end int64) { s.read = end }

func (s *spillFile) empty() bool { return s.read >= s.size }

// remove deletes the file: the database has everything. It does so while the file is
// locked, where the system lets one delete an open file.
func (s *spillFile) remove() error {
	err := os.Remove(s.f.Name())
	if closed := s.f.Close(); err != nil && closed == nil {
		err = os.Remove(s.f.Name())
	}
	return err
}

// keep closes the file for the next process.
func (s *spillFile) keep() error { return errors.Join(s.f.Sync(), s.f.Close()) }
