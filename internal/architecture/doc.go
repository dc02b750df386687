// Package architecture holds the rules on who may import what, and that pages name what there is, as tests:
// docs/ARCHITECTURE.md tells the story, and these keep it true.
package architecture
