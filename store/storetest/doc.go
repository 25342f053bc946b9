// Package storetest is what every database must do, as one suite of tests: a
// store that passes it can carry Gatehouse.
//
// The suite opens each database twice, as two nodes or a node and the command
// line do, and takes turns between the two: what one commits, the other reads.
// Its races run on both at once.
package storetest
