// Package webhook tells others of events: webhooks by the Standard Webhooks specification
// (https://www.standardwebhooks.com), and collectors of security events by the same, as
// JSON lines in a file, or as syslog.
//
// What is to be told is in the database before anybody is told of it, and stays there until
// somebody has taken it: a process that is killed loses nothing, and tells some things
// twice, with the same id.
//
// The threat: whoever may enter an address here could have this server ask what only it can
// reach, and read the answer in the log of deliveries. So the address that is really
// dialled is looked at, after the name was resolved; no redirect is followed, no proxy of
// the environment asked, and little of an answer read.
package webhook
