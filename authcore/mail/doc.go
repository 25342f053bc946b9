// Package mail sends what the accounts have to say by mail. Messages wait in the
// database, where the command that they are about has put them, until an SMTP server
// has taken them; their text comes from templates that an operator can replace.
package mail
