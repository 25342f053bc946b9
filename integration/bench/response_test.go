package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadResponse(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	tests := []struct {
		name, in string
		status   int
		body     string
		close    bool
		err      string // part of the error; empty: none
	}{
		{name: "length", in: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok"},
		{name: "header in any case", in: "HTTP/1.1 200 OK\r\ncontent-LENGTH:2 \r\nX: y\r\n\r\nok", status: 200, body: "ok"},
		{name: "no reason", in: "HTTP/1.1 401\r\nContent-Length: 0\r\n\r\n", status: 401},
		{name: "no content", in: "HTTP/1.1 204 No Content\r\n\r\n", status: 204},
		{name: "not modified has no body", in: "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", status: 304},
		{name: "chunks", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1;a=b\r\n!\r\n0\r\n\r\n", status: 200, body: "ok!"},
		{name: "trailer", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\n\r\n", status: 200},
		{name: "body longer than the buffer", in: "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + long, status: 200, body: long},
		{name: "close", in: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", status: 200, close: true},

		{name: "nothing", in: "", err: "unexpected EOF"},
		{name: "old protocol", in: "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", err: "status line"},
		{name: "interim answer", in: "HTTP/1.1 100 Continue\r\n\r\n", err: "status line"},
		{name: "status of four digits", in: "HTTP/1.1 2000 OK\r\n\r\n", err: "status line"},
		{name: "bare line feed", in: "HTTP/1.1 200 OK\n\n", err: "CRLF"},
		{name: "carriage return within", in: "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", err: "CRLF"},
		{name: "no end told", in: "HTTP/1.1 200 OK\r\n\r\nok", err: "neither"},
		{name: "both ends told", in: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok", err: "both"},
		{name: "length twice", in: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", err: "Content-Length"},
		{name: "length with a sign", in: "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", err: "Content-Length"},
		{name: "length too large", in: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", err: "Content-Length"},
		{name: "unknown coding", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", err: "Transfer-Encoding"},
		{name: "folded line", in: "HTTP/1.1 200 OK\r\nA: b\r\n c: d\r\n\r\n", err: "header line"},
		{name: "header without colon", in: "HTTP/1.1 200 OK\r\nabc\r\n\r\n", err: "header line"},
		{name: "short body", in: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", err: "body ends early"},
		{name: "chunk size no number", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", err: "chunk size"},
		{name: "chunk longer than told", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nokay\r\n0\r\n\r\n", err: "longer"},
		{name: "endless line", in: "HTTP/1.1 200 OK\r\nA: " + long, err: "buffer full"},
		{name: "endless head", in: "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxHeadLines+1), err: "too many"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got response
			err := got.read(bufio.NewReaderSize(strings.NewReader(tt.in), 4096))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.status != tt.status || string(got.body) != tt.body || got.close != tt.close {
				t.Errorf("got %d %q close %v, want %d %q close %v", got.status, got.body, got.close, tt.status, tt.body, tt.close)
			}
		})
	}
}

// Answers follow one another on a connection; none may leave bytes behind.
func TestReadResponseInARow(t *testing.T) {
	t.Parallel()
	br := bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" +
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n" +
		"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"))
	var got []string
	var r response
	for range 3 {
		if err := r.read(br); err != nil {
			t.Fatal(err)
		}
		got = append(got, string(r.body))
	}
	if diff := cmp.Diff([]string{"ok", "yes", ""}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("bytes are left over (%v)", err)
	}
}

// What our reader and net/http both accept, they must read alike.
func FuzzReadResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 401\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var ours response
		if ours.read(bufio.NewReader(strings.NewReader(string(in)))) != nil {
			return
		}
		theirs, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(in))), nil)
		if err != nil {
			return
		}
		defer theirs.Body.Close()
		body, err := io.ReadAll(theirs.Body)
		if err != nil {
			return
		}
		if theirs.StatusCode != ours.status || string(body) != string(ours.body) {
			t.Errorf("net/http reads %d %q, we %d %q", theirs.StatusCode, body, ours.status, ours.body)
		}
	})
}

func BenchmarkReadResponse(b *testing.B) {
	const in = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: Caddy\r\n\r\nok"
	src := strings.NewReader(in)
	br := bufio.NewReader(src)
	var r response
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(in)
		br.Reset(src)
		if err := r.read(br); err != nil {
			b.Fatal(err)
		}
	}
}
