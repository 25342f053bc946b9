// Package dbserver starts throwaway PostgreSQL and MariaDB servers for tests:
// each on a free port of 127.0.0.1, with its data in a temporary folder that
// Close removes. They can be stopped, killed, paused and started again.
//
// The programs come from the machine; integration/setup.sh installs them. The
// newest PostgreSQL is taken, and MySQL where there is no MariaDB. Run by root,
// a server gets a user without rights, since PostgreSQL would not start otherwise.
//
// On Linux a server dies with the tests, even when those are killed, and leaves
// its folder then. On other Unix systems it lives on. There is none on Windows.
package dbserver
