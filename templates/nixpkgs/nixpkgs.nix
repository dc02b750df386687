# The directories as nixpkgs names them: its builders add "/nix" to the state and the configuration directory.
directories: {
  storeDir = directories.store;
  stateDir = dirOf directories.state;
  confDir = dirOf directories.conf;
}
