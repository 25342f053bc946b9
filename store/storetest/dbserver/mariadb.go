package dbserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// mariadb holds the paths of its programs. Without install it is MySQL 8, for which
// this is written but not tested.
type mariadb struct{ server, install string }

func findMariaDB() (product, error) {
	p := mariadb{server: program("mariadbd", "mysqld"), install: program("mariadb-install-db", "mysql_install_db")}
	if p.server == "" {
		return nil, errors.New("dbserver: MariaDB is not installed (Debian: mariadb-server-core, mariadb-client-core)")
	}
	version, err := exec.Command(p.server, "--no-defaults", "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("dbserver: %s: %w", p.server, err)
	}
	if !strings.Contains(string(version), "MariaDB") {
		p.install = ""
	} else if p.install == "" || program("my_print_defaults") == "" {
		return nil, errors.New("dbserver: MariaDB's mariadb-install-db or my_print_defaults is not installed (Debian: mariadb-server-core, mariadb-client-core)")
	}
	return p, nil
}

func (mariadb) accounts() []string { return []string{"mysql", "nobody"} }

func (p mariadb) create(s *Server) error {
	if err := os.WriteFile(initFile(s), []byte(adminSQL(s)), 0o600); err != nil {
		return err
	}
	if err := s.owner.give(initFile(s)); err != nil {
		return err
	}
	if p.install == "" {
		return s.run(p.server, "--no-defaults", "--initialize-insecure", "--datadir="+s.data(), "--innodb-use-native-aio=0")
	}
	return s.run(p.install, "--no-defaults", "--datadir="+s.data(), "--auth-root-authentication-method=normal",
		"--skip-test-db", "--skip-name-resolve", "--innodb-use-native-aio=0")
}

func initFile(s *Server) string { return filepath.Join(s.dir, "init.sql") }

// adminSQL is run at each start. It leaves nobody who gets in over TCP without a
// password, which is mysql_native_password's in MariaDB and caching_sha2_password's
// in MySQL. MySQL wants each statement on a line of its own.
func adminSQL(s *Server) string {
	return fmt.Sprintf(`DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1';
CREATE USER IF NOT EXISTS '%s'@'%%' IDENTIFIED BY '%s';
GRANT ALL ON *.* TO '%[1]s'@'%%' WITH GRANT OPTION;
`, Admin, s.password)
}

// With innodb_flush_log_at_trx_commit=2 everything that was committed is with the
// system, which a killed server does not take along. The doublewrite stays on: a
// kill may also tear the page that is being written.
func (p mariadb) command(s *Server) []string {
	flush := "2"
	if s.durable {
		flush = "1"
	}
	args := []string{
		p.server, "--no-defaults", "--datadir=" + s.data(), "--tmpdir=" + s.dir,
		"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(s.port), "--skip-name-resolve", "--loose-mysqlx=OFF",
		"--socket=" + filepath.Join(s.dir, "socket"), "--pid-file=" + filepath.Join(s.dir, "pid"), "--init-file=" + initFile(s),
		"--character-set-server=utf8mb4", "--max-connections=200", "--performance-schema=OFF",
		"--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=" + flush,
		"--innodb-use-native-aio=0", // of which the system grants all servers together only so much
	}
	if s.tls {
		args = append(args, "--ssl-ca="+s.CAFile(), "--ssl-cert="+s.certFile(), "--ssl-key="+s.keyFile())
	}
	return args
}

func (mariadb) dsn(s *Server, database, user string) string {
	config := mysql.NewConfig()
	config.Net, config.Addr, config.User, config.Passwd, config.DBName = "tcp", s.Addr(), user, s.password, database
	return config.FormatDSN()
}

func (mariadb) newUser(name, password string) string {
	return fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY '%s'", name, password)
}

func (mariadb) newDatabase(name string) []string {
	return []string{"CREATE DATABASE `" + name + "`", fmt.Sprintf("GRANT ALL ON `%s`.* TO '%s'@'%%'", name, User)}
}

func (m mariadb) copyDatabase(ctx context.Context, db *sql.DB, from, name string) ([]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = ?", from)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	statements := m.newDatabase(name)
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return nil, err
		}
		statements = append(statements, fmt.Sprintf("CREATE TABLE `%s`.`%s` LIKE `%s`.`%s`", name, table, from, table), fmt.Sprintf("INSERT INTO `%s`.`%s` SELECT * FROM `%s`.`%s`", name, table, from, table))
	}
	return statements, rows.Err()
}

func (mariadb) dropDatabase(name string) string { return "DROP DATABASE `" + name + "`" }
