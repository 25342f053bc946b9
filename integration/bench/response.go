package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

// Limits of what the load generator reads; more than this is an error.
const (
	maxHeadLines = 200
	maxBody      = 1 << 20
)

// response is one HTTP/1.1 answer. It is read into again and again, so a slice
// taken from it is good until the next read.
type response struct {
	status     int
	close      bool   // the server said that it closes the connection
	retryAfter int    // seconds
	cookie     string // the gate's session cookie, where it was set, as name=value
	body       []byte
}

// framing is how the end of the body is told (RFC 9112, section 6).
type framing struct {
	length  int // -1: not told
	chunked bool
}

// read reads the next answer to a GET request. It understands what a
// well-behaved server sends on a connection that stays open: HTTP/1.1, lines
// that end in CRLF, a body with Content-Length or in chunks. Anything else is
// an error, never a guess.
func (r *response) read(br *bufio.Reader) error {
	*r = response{body: r.body[:0]}
	line, err := readLine(br)
	if err != nil {
		return err
	}
	status, err := parseStatus(line)
	if err != nil {
		return err
	}
	fr, err := r.readHead(br)
	if err != nil {
		return err
	}
	if err := r.readContent(br, status, fr); err != nil {
		return err
	}
	r.status = status // 0 wherever the answer did not come to its end
	return nil
}

// readContent reads the body.
func (r *response) readContent(br *bufio.Reader, status int, fr framing) error {
	switch {
	case status == 204 || status == 304:
		return nil
	case fr.chunked && fr.length >= 0:
		return errors.New("answer has both Content-Length and chunks")
	case fr.chunked:
		return r.readChunks(br)
	case fr.length >= 0:
		return r.readBody(br, fr.length)
	}
	return errors.New("answer has neither Content-Length nor chunks")
}

// readHead reads the header lines up to the empty one.
func (r *response) readHead(br *bufio.Reader) (framing, error) {
	fr := framing{length: -1}
	for range maxHeadLines {
		line, err := readLine(br)
		if err != nil {
			return fr, err
		}
		if len(line) == 0 {
			return fr, nil
		}
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 || line[0] == ' ' || line[0] == '\t' {
			return fr, fmt.Errorf("malformed header line %.80q", line)
		}
		if err := r.header(line[:colon], bytes.Trim(line[colon+1:], " \t"), &fr); err != nil {
			return fr, err
		}
	}
	return fr, errors.New("answer has too many header lines")
}

// header takes note of the few headers that matter. The length of the name is
// looked at first, which is all that most headers cost.
func (r *response) header(name, value []byte, fr *framing) error {
	switch len(name) {
	case len("Connection"):
		if bytes.EqualFold(name, []byte("Connection")) {
			r.close = r.close || bytes.EqualFold(value, []byte("close"))
		} else if bytes.HasPrefix(value, []byte(cookieName+"=")) && bytes.EqualFold(name, []byte("Set-Cookie")) {
			pair, _, _ := bytes.Cut(value, []byte(";"))
			r.cookie = string(pair)
		}
	case len("Retry-After"):
		if bytes.EqualFold(name, []byte("Retry-After")) {
			r.retryAfter, _ = parseNumber(value, 10) // 0 where it is a date
		}
	case len("Content-Length"):
		if !bytes.EqualFold(name, []byte("Content-Length")) {
			return nil
		}
		n, ok := parseNumber(value, 10)
		if !ok || fr.length >= 0 || n > maxBody {
			return fmt.Errorf("bad or repeated Content-Length %.40q", value)
		}
		fr.length = n
	case len("Transfer-Encoding"):
		if !bytes.EqualFold(name, []byte("Transfer-Encoding")) {
			return nil
		}
		if fr.chunked || !bytes.EqualFold(value, []byte("chunked")) {
			return fmt.Errorf("bad or repeated Transfer-Encoding %.40q", value)
		}
		fr.chunked = true
	}
	return nil
}

// readChunks reads a body in chunks and what trails it (RFC 9112, section 7.1).
func (r *response) readChunks(br *bufio.Reader) error {
	for {
		line, err := readLine(br)
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte(";")) // an extension means nothing to us
		n, ok := parseNumber(bytes.TrimRight(size, " \t"), 16)
		if !ok || len(r.body)+n > maxBody {
			return fmt.Errorf("bad chunk size %.40q", line)
		}
		if n == 0 {
			var ignored response
			_, err := ignored.readHead(br)
			return err
		}
		if err := r.readBody(br, n); err != nil {
			return err
		}
		if line, err = readLine(br); err != nil {
			return err
		}
		if len(line) != 0 {
			return errors.New("chunk is longer than it says")
		}
	}
}

// readBody appends n bytes to the body.
func (r *response) readBody(br *bufio.Reader, n int) error {
	old := len(r.body)
	if need := old + n; need > cap(r.body) {
		r.body = append(make([]byte, 0, need), r.body...)
	}
	r.body = r.body[:old+n]
	if _, err := io.ReadFull(br, r.body[old:]); err != nil {
		return fmt.Errorf("body ends early: %w", noEOF(err))
	}
	return nil
}

// parseStatus reads a status line like "HTTP/1.1 200 OK".
func parseStatus(line []byte) (int, error) {
	const proto = "HTTP/1.1 "
	rest, ok := bytes.CutPrefix(line, []byte(proto))
	if !ok || len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' {
		return 0, fmt.Errorf("malformed status line %.80q", line)
	}
	n, ok := parseNumber(rest[:3], 10)
	if !ok || n < 200 || n > 599 {
		return 0, fmt.Errorf("unexpected status line %.80q", line)
	}
	return n, nil
}

// readLine returns the next line without its CRLF. A line longer than the
// buffer is an error.
func readLine(br *bufio.Reader) ([]byte, error) {
	line, err := br.ReadSlice('\n')
	if err != nil {
		return nil, fmt.Errorf("read line: %w", noEOF(err))
	}
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || bytes.IndexByte(line, '\r') >= 0 {
		return nil, fmt.Errorf("line does not end in CRLF: %.80q", line)
	}
	return line, nil
}

// parseNumber reads an unsigned number of digits only; false when it is none
// or does not fit 31 bits.
func parseNumber(b []byte, base int) (int, bool) {
	if len(b) == 0 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		var d int
		switch {
		case c >= '0' && c <= '9':
			d = int(c - '0')
		case base == 16 && c|0x20 >= 'a' && c|0x20 <= 'f':
			d = int(c|0x20-'a') + 10
		default:
			return 0, false
		}
		if n = n*base + d; n > math.MaxInt32 {
			return 0, false
		}
	}
	return n, true
}

// noEOF turns the end of the stream into an error of its own: inside an answer
// it is never the regular end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
