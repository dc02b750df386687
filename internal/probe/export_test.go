package probe

// FileSystem names a file system and says whether it is remote, for tests:
// hosts with all of them are rare.
func FileSystem(magic uint32, device uint64, mounts string) (string, bool) {
	name := fileSystem(magic, device, mounts)
	return name, isRemote(name)
}
