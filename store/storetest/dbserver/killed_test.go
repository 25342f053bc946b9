//go:build unix

package dbserver

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// onlyServer is the variable that has the test binary run one server of the kind
// that it names, and wait to be killed.
const onlyServer = "DBSERVER_TEST_KIND"

type onlyServerSays struct {
	Dir  string
	PIDs []int
}

func runForever(kind Kind) {
	s, err := New(kind)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	all, err := family(s.proc.cmd.Process.Pid)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	says := onlyServerSays{Dir: s.dir}
	for _, each := range all {
		says.PIDs = append(says.PIDs, each.pid)
	}
	_ = json.NewEncoder(os.Stdout).Encode(says)
	select {}
}

func TestServerDiesWithTheTests(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere it does not")
	}
	eachKind(t, func(t *testing.T, kind Kind) {
		tests := exec.Command(os.Args[0])
		tests.Env, tests.Stderr = append(os.Environ(), onlyServer+"="+string(kind)), os.Stderr
		out, err := tests.StdoutPipe()
		must(t, err)
		must(t, tests.Start())
		var says onlyServerSays
		err = json.NewDecoder(out).Decode(&says)
		_ = tests.Process.Kill()
		_ = tests.Wait()
		must(t, err)
		if len(says.PIDs) == 0 {
			t.Error("there was no server")
		}
		must(t, until(func() (bool, error) { return ended(says.PIDs) }))
		must(t, os.RemoveAll(says.Dir))
	})
}
