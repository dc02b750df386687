// Package architecture holds the rules on who may import what, as tests:
// docs/ARCHITECTURE.md tells the story, and these keep it true.
package architecture
