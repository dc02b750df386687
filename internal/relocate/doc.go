// Package relocate rewrites a store object, as a NAR, for another store directory: every mapped hash part and every
// mapped directory in contents, file names and link targets, in one pass, with all lengths kept.
//
// [Relocate] reads a NAR and writes one. What it writes counts only if it returns no error: a hazard may be found in
// the last byte. README.md says what is found, what is repaired, and what is refused.
//
// The package verifies no signatures and writes to no store; whoever calls it does.
package relocate
