# The Nixes that a set has: for each the attributes that lead to it, and its version. What cannot be
# evaluated, as what nixpkgs has taken away, is passed over, and so is one that nix.nix cannot tell of
# another store directory.
nixpkgs:

let
  kind = import ./kind.nix;
  versionOf =
    nix:
    let
      it = builtins.tryEval (if nix ? overrideAttrs && kind nix != null then toString nix.version else null);
    in
    if it.success then it.value else null;

  versions = nixpkgs.nixVersions or { };
  named = [
    {
      path = [ "nix" ];
      version = versionOf (nixpkgs.nix or { });
    }
  ]
  ++ map (name: {
    path = [
      "nixVersions"
      name
    ];
    version =
      let
        it = builtins.tryEval versions.${name};
      in
      if it.success && builtins.isAttrs it.value then versionOf it.value else null;
  }) (builtins.attrNames versions);
in
builtins.filter (nix: nix.version != null) named
