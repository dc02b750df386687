package nixconf

// RenderWriter returns the text of the file that nix.conf includes for those who may write to the
// store. Nix passes over a file that it may not read (2.26, src/libutil/config.cc, parseConfigFiles).
func RenderWriter() []byte {
	return []byte("# For whoever looks after this store, and for nobody else: whoever may read this file has Nix open the\n" +
		"# store to write. Written by bootstrap, and written anew each time it installs.\n" +
		"store = local\n")
}
