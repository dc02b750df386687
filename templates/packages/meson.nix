# What Meson is told, as a table by the version of Nix: options come, go and are renamed.
#
# A row counts from its version on, and replaces what rows above it say of the same option; null
# takes an option away. Which options a version has, its meson.options files say, one for each
# subproject; Meson refuses one that it does not know.
{
  version,
  directories,
  busybox,
}:

let
  rows = [
    {
      since = "2.26";
      options = {
        # What a first Nix has no use for.
        doc-gen = "false";
        bindings = "false";
        unit-tests = "false";
        # The directories; the state and the configuration directory are options of Meson's own.
        "libstore:store-dir" = directories.store;
        "libstore:log-dir" = directories.log;
        "libutil:isolated-state-dir" = directories.state; # one of our patches has it
        "nix:profile-dir" = "${builtins.placeholder "out"}/etc/profile.d";
        "libstore:sandbox-shell" = "${busybox}/bin/busybox";
        # Debian has readline where upstream has editline.
        "libcmd:readline-flavor" = "readline";
        "libexpr:gc" = "enabled";
      };
    }
    {
      since = "2.31";
      options.benchmarks = "false";
    }
    {
      since = "2.33";
      options = {
        json-schema-checks = "false";
        # It takes AWS's own library.
        "libstore:s3-aws-auth" = "disabled";
      };
    }
  ];

  counts = row: builtins.compareVersions version row.since >= 0;
  options = builtins.foldl' (all: row: all // row.options) { } (builtins.filter counts rows);
  given = builtins.filter (name: options.${name} != null) (builtins.attrNames options);
in
map (name: "-D${name}=${options.${name}}") given
