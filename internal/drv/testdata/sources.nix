# Sources of every kind, for the tests with a real Nix: what they need is made next to this file.
let
  make = attrs: derivation ({ system = "x86_64-linux"; builder = "/bin/sh"; } // attrs);
in {
  tree = make { name = "tree"; src = ./tree; };
  filtered = make { name = "filtered"; src = builtins.filterSource (path: type: baseNameOf path != "left-out") ./tree; };
  named = make { name = "named"; src = builtins.path { path = ./tree; name = "another-name"; }; };
  file = make { name = "file"; src = ./tree/file; };
  flat = make { name = "flat"; src = builtins.path { path = ./tree/file; recursive = false; name = "flat"; }; };
  program = make { name = "program"; src = ./tree/program; };
}
