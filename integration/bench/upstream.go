package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// upstreamMode is the argument that makes this binary the upstream.
const upstreamMode = "upstream"

// limitMode makes it a server that only says 200, with an empty body: Go's own, as
// anybody would write one.
const limitMode = "says-200"

// echoPath answers with the request's head as the upstream saw it, which is how
// the bench learns what the gate told the app.
const echoPath = "/bench-echo"

// upstreamBody is the app's page.
const upstreamBody = "hello from the app behind the gate\n"

// respondBody is what the site without upstream answers.
const respondBody = "ok"

// upstreamMain serves on a free loopback port, tells its address in one line on
// out, and ends when in does: so it never outlives who started it.
func upstreamMain(mode string, in io.Reader, out io.Writer) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, ln.Addr()); err != nil {
		return err
	}
	if mode == limitMode {
		go func() { _ = http.Serve(ln, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) }() // ends with the listener
	} else {
		go serveUpstream(ln)
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	return ln.Close()
}

// serveUpstream answers GET requests until the listener is closed. It is leaner
// than net/http, so that most of the time measured is Caddy's.
func serveUpstream(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			if err := answerAll(conn); err != nil && !errors.Is(err, io.EOF) {
				// The other side sees a broken answer and reports it.
				fmt.Fprintf(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			}
		}()
	}
}

// answerAll answers one request after the other. The error at the regular end
// of the connection is io.EOF.
func answerAll(conn net.Conn) error {
	br := bufio.NewReaderSize(conn, 8<<10)
	page := answer(upstreamBody)
	for {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(line, []byte("GET ")) {
			return fmt.Errorf("not a GET request: %.80q", line)
		}
		echo := bytes.HasPrefix(line, []byte("GET "+echoPath+" "))
		var head []byte
		for len(line) > len("\r\n") {
			if line, err = br.ReadSlice('\n'); err != nil {
				return noEOF(err)
			}
			if echo {
				head = append(head, line...)
			}
		}
		if echo {
			_, err = conn.Write(answer(string(head)))
		} else {
			_, err = conn.Write(page)
		}
		if err != nil {
			return err
		}
	}
}

// answer is a whole 200 answer with a body.
func answer(body string) []byte {
	return []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}
