// Package audit takes events from requests and writes them to the database in
// batches, so that a request never waits for an audit row.
package audit
