package dbserver

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// postgres is the folder of PostgreSQL's programs.
type postgres string

// findPostgres takes Debian's newest, or the one in PATH.
func findPostgres() (product, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		if path := program("initdb"); path != "" {
			return postgres(filepath.Dir(path)), nil
		}
		return nil, errors.New("dbserver: PostgreSQL is not installed (Debian: postgresql)")
	}
	version := func(initdb string) float64 {
		v, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(filepath.Dir(initdb))), 64) // such as 9.6 and 15
		return v
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) })
	return postgres(filepath.Dir(newest)), nil
}

func (postgres) accounts() []string { return []string{"postgres", "nobody"} }

func (p postgres) create(s *Server) error {
	password := filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte(s.password), 0o600); err != nil {
		return err
	}
	if err := s.owner.give(password); err != nil {
		return err
	}
	return s.run(filepath.Join(string(p), "initdb"), "--pgdata="+s.data(), "--username="+Admin, "--pwfile="+password,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
}

// Without fsync everything that was committed is with the system, which a killed
// server does not take along. full_page_writes stays on: a kill may also tear the
// page that is being written.
func (p postgres) command(s *Server) []string {
	args := []string{filepath.Join(string(p), "postgres"), "-D", s.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(s.port)}
	for _, setting := range []string{
		"unix_socket_directories=",
		"dynamic_shared_memory_type=mmap", // in the data folder, so that a kill leaves nothing elsewhere
		"max_connections=200",
		"shared_buffers=32MB",
		"fsync=" + onOff(s.durable),
	} {
		args = append(args, "-c", setting)
	}
	if s.tls {
		args = append(args, "-c", "ssl=on", "-c", "ssl_cert_file="+s.certFile(), "-c", "ssl_key_file="+s.keyFile())
	}
	return args
}

func (postgres) dsn(s *Server, database, user string) string {
	dsn := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, s.password), Host: s.Addr(), Path: "/" + cmp.Or(database, "postgres"),
		RawQuery: "sslmode=disable",
	}
	return dsn.String()
}

func (postgres) newUser(name, password string) string {
	return fmt.Sprintf(`CREATE USER "%s" PASSWORD '%s'`, name, password)
}

func (postgres) newDatabase(name string) []string {
	return []string{fmt.Sprintf(`CREATE DATABASE "%s" OWNER "%s"`, name, User)}
}

func (p postgres) copyDatabase(_ context.Context, _ *sql.DB, from, name string) ([]string, error) {
	return []string{p.newDatabase(name)[0] + fmt.Sprintf(` TEMPLATE "%s"`, from)}, nil
}

func (postgres) dropDatabase(name string) string {
	return fmt.Sprintf(`DROP DATABASE "%s" WITH (FORCE)`, name)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
