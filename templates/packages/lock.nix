# The files of the seed, each a fixed-output derivation.
#
# The installer adds them to the store beforehand, under the same paths that these derivations
# give, so nothing is downloaded while it runs. Later, Nix alone can fetch them again from the
# snapshot archive, which keeps every file that was ever in Debian.
{ system }:

let
  lock = builtins.fromJSON (builtins.readFile ./lock.json);

  architecture =
    {
      x86_64-linux = "amd64";
      aarch64-linux = "arm64";
    }
    .${system} or (throw "the lock has no packages for ${system}");

  domain = "debian.org";
  snapshots = "https://snapshot.${domain}/archive/debian";

  # The index of a suite that was added to the lock may be newer than the lock.
  dates = builtins.listToAttrs (
    map (suite: {
      inherit (suite) name;
      value = suite.date;
    }) lock.suites
  );
  timeOf =
    entry:
    let
      date = dates.${entry.suite};
    in
    if date > lock.timestamp then date else lock.timestamp;

  # Debian's file names may hold characters that a store path's name may not.
  storeName = path: builtins.replaceStrings [ "~" "%3a" ":" ] [ "-" "-" "-" ] (baseNameOf path);

  fetch =
    entry:
    derivation {
      name = storeName entry.path;
      system = "builtin";
      builder = "builtin:fetchurl";
      # A source of Nix may be from elsewhere; then its entry says where.
      url = entry.url or "${snapshots}/${timeOf entry}/${entry.path}";
      outputHashMode = "flat";
      outputHashAlgo = "sha256";
      outputHash = entry.sha256;
      preferLocalBuild = true;
    };

  having = role: builtins.filter (
    entry:
    builtins.elem role entry.roles && builtins.elem architecture entry.for
  ) lock.entries;
in
{
  # The files that have a role, as store paths, in the lock's order.
  files = role: map fetch (having role);

  # The one file that has a role.
  file = role: fetch (builtins.head (having role));

  # Its upstream version, from the name: nix_2.26.3+dfsg.orig.tar.xz is of 2.26.3.
  version =
    role:
    builtins.head (
      builtins.match "[^_]*_([0-9]+([.][0-9]+)*).*" (baseNameOf (builtins.head (having role)).path)
    );

  # The directory below lib in which Debian keeps this architecture's libraries.
  triplet =
    {
      amd64 = "x86_64-linux-gnu";
      arm64 = "aarch64-linux-gnu";
    }
    .${architecture};

  # The dynamic loader's file name.
  loader =
    {
      amd64 = "ld-linux-x86-64.so.2";
      arm64 = "ld-linux-aarch64.so.1";
    }
    .${architecture};
}
