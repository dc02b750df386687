# The four directories that are compiled into Nix.
#
# They follow from the store directory, unless the installer was told otherwise: it then writes
# ./directories.json beside this file. Evaluation at another prefix so gives that prefix's paths.
let
  root = dirOf builtins.storeDir;
  chosen =
    if builtins.pathExists ./directories.json then
      builtins.fromJSON (builtins.readFile ./directories.json)
    else
      { };
in
{
  store = builtins.storeDir;
  state = root + "/var/nix";
  log = root + "/var/log/nix";
  conf = root + "/etc/nix";
}
// chosen
