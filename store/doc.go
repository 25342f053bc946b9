// Package store keeps everything in SQL. One *DB satisfies every interface that
// the other packages declare; SQL is written once, and what differs between
// databases sits in one dialect each.
//
// Ids are UUIDv7 made by the application, times are integer microseconds UTC,
// hashes are hexadecimal text. There are no foreign keys: commands delete what
// belongs together themselves, so that the schema also fits sharded engines.
// Every change is one transaction that writes its audit event and its change
// record along; no transaction leaves this package.
package store
