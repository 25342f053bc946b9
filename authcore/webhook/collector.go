package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// lineOf is an event as JSON, in one line.
func lineOf(e *authcore.Event, slug string) ([]byte, error) {
	d := authcore.DataOf(e, slug)
	d.Type, d.Time = e.Action, e.Time.UTC().Format(time.RFC3339Nano)
	return json.Marshal(d)
}

// AuditEvents is the type of a message with events for a collector.
const AuditEvents = "audit.events"

// Hook gives events to a collector by signed requests, as webhooks are told.
type Hook struct {
	Client *Client
	URL    string
	Secret authcore.Secret
}

var _ Collector = (*Hook)(nil)

// Collect implements Collector.
func (h *Hook) Collect(ctx context.Context, id string, events []CollectedEvent) error {
	lines := make([]json.RawMessage, len(events))
	for i := range events {
		lines[i] = events[i].JSON
	}
	body, err := authcore.MessageOf(AuditEvents, events[0].Time, map[string]any{"events": lines})
	if err != nil {
		return err
	}
	if a := h.Client.Send(ctx, h.URL, id, []authcore.Secret{h.Secret}, body); a.Failure != "" {
		return errors.New(a.Failure)
	}
	return nil
}

// Close implements Collector.
func (h *Hook) Close() { h.Client.Close() }

// File appends events to a file, as JSON lines. It is made anew where it was renamed or
// deleted, and ends each time on the disk.
type File struct {
	Path string

	file *os.File
}

var _ Collector = (*File)(nil)

// Collect implements Collector.
func (f *File) Collect(_ context.Context, _ string, events []CollectedEvent) error {
	if err := f.open(); err != nil {
		return err
	}
	var text bytes.Buffer
	for i := range events {
		text.Write(events[i].JSON)
		text.WriteByte('\n')
	}
	size, err := f.file.Seek(0, 2)
	if err != nil {
		return err
	}
	if _, err = f.file.Write(text.Bytes()); err == nil {
		err = f.file.Sync()
	}
	if err != nil { // no half of a line: all of it comes again
		err = errors.Join(err, f.file.Truncate(size))
		f.Close()
	}
	return err
}

// open opens the file, unless it is open and still in its place.
func (f *File) open() error {
	if f.file != nil {
		there, err := os.Stat(f.Path)
		ours, err2 := f.file.Stat()
		if err == nil && err2 == nil && os.SameFile(there, ours) {
			return nil
		}
		f.Close()
	}
	file, err := os.OpenFile(f.Path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	f.file = file
	return f.whole()
}

// whole ends a line that a process which died had begun: all of it comes again.
func (f *File) whole() error {
	size, err := f.file.Seek(0, 2)
	if err != nil || size == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := f.file.ReadAt(last, size-1); err != nil {
		return fmt.Errorf("the end of %s cannot be read: %w", f.Path, err)
	}
	if last[0] != '\n' {
		_, err = f.file.Write([]byte{'\n'})
	}
	return err
}

// Close implements Collector.
func (f *File) Close() {
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}
