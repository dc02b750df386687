# What cannot be transported, for the tests with a real Nix: by the name of each, whether it is refused, or whether what
# comes of it is a name that nobody has.
let
  make = attrs: derivation ({ system = "x86_64-linux"; builder = "/bin/sh"; } // attrs);
  discard = builtins.unsafeDiscardStringContext;
  deps = map (n: make { name = "dep-${toString n}"; }) [ 1 2 3 4 5 6 7 8 ];
  one = builtins.head deps;
in {
  missed-digest = make { name = "digest"; inherit one; a = builtins.hashString "sha256" (discard "${one}"); };
  missed-part = make { name = "part"; inherit one; a = "id-${builtins.substring 0 8 (baseNameOf (discard "${one}"))}"; };
  missed-order = make { name = "order"; list = builtins.sort builtins.lessThan (map (d: "${d}") deps); };
  missed-choice = make { name = "choice"; a = if builtins.storeDir == "/nix/store" then "this" else "that"; };
  refused-keys = make ({ name = "keys"; inherit one; } // { "a${discard (baseNameOf "${one}")}" = 1; });
  refused-slashes = make { name = "slashes"; inherit one; a = builtins.replaceStrings [ "/" ] [ "-" ] (discard "${one}"); };
}
