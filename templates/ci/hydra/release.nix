# The jobs of a Hydra for a prefix: every package of a set, for each system. It is plain Nix, so
#
#   nix build --no-link -f release.nix
#
# builds the same without a Hydra. The set is a directory with a default.nix that takes `system`;
# unless another is given, it is that of the prefix whose Nix evaluates this.
{
  packages ? <bootstrap>,
  systems ? [ builtins.currentSystem ],
}:

let
  # Made to be compared with, or thrown away.
  aside = [
    "nix-bootstrap"
    "nix-naive"
  ];

  jobsFor =
    system:
    let
      set = removeAttrs (import packages { inherit system; }) aside;
      isJob = name: (set.${name}.type or "") == "derivation";
    in
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = set.${name};
      }) (builtins.filter isJob (builtins.attrNames set))
    );
in
builtins.listToAttrs (
  map (system: {
    name = system;
    value = jobsFor system;
  }) systems
)
