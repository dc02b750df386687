# The jobsets of a declarative Hydra project: spec.json, in the project's settings, names this file.
# Hydra builds the attribute "jobsets", and reads from it which jobsets there are.
{
  # Given by Hydra: the repository that this file is in, and the project's own specification.
  repository ? ../.,
  declInput ? null,
  # Where Hydra gets that repository from, for the jobsets.
  url ? "https://git.example.org/packages main",
  # The package set: a path on the machine that evaluates, which Hydra copies to its store.
  packages ? "/opt/mine/share/bootstrap/packages",
  system ? builtins.currentSystem,
}:

let
  jobset = {
    enabled = 1;
    hidden = false;
    type = 0; # by an expression, and not by a flake
    description = "the package set of the prefix";
    nixexprinput = "repository";
    nixexprpath = "hydra/release.nix";
    checkinterval = 300;
    schedulingshares = 100;
    enableemail = false;
    emailoverride = "";
    keepnr = 3;
    inputs = {
      repository = {
        type = "git";
        value = url;
        emailresponsible = false;
      };
      # Under this name it is the argument of release.nix.
      packages = {
        type = "path";
        value = packages;
        emailresponsible = false;
      };
    };
  };
in
{
  jobsets = derivation {
    name = "jobsets.json";
    inherit system;
    builder = "/bin/sh";
    args = [
      "-euc"
      "printf '%s' \"$text\" >$out"
    ];
    text = builtins.toJSON { packages = jobset; };
  };
}
