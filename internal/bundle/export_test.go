package bundle

// NewPlainReader reads what is in the frame of zstd: compressing takes most of the time.
var NewPlainReader = newReader
