# A package set in the shape of nixpkgs, as far as bootstrap looks at it. The test adds seed.json, which says
# where sources are and what is special about one derivation, and bootstrap-tools, a directory with a busybox.
{
  system ? builtins.currentSystem,
  config ? { },
  overlays ? [ ],
  ...
}:

let
  seed = builtins.fromJSON (builtins.readFile ./seed.json);

  lib = {
    version = builtins.replaceStrings [ "\n" ] [ "" ] (builtins.readFile ./.version);

    # The functions that are looked at by whoever overrides: with the arguments they take.
    makeOverridable =
      f: arguments:
      f arguments
      // {
        override = {
          __functionArgs = builtins.functionArgs f;
          __functor = _: more: lib.makeOverridable f (arguments // more);
        };
      };
  };

  bootstrapTools = builtins.path {
    name = "bootstrap-tools";
    path = ./bootstrap-tools;
  };

  fetchurl =
    {
      name,
      url,
      sha256,
    }:
    derivation {
      inherit name url;
      urls = [ url ];
      system = "builtin";
      builder = "builtin:fetchurl";
      outputHash = sha256;
      outputHashAlgo = "sha256";
      outputHashMode = "flat";
      executable = false;
      unpack = false;
      preferLocalBuild = true;
    };

  shell =
    attributes:
    derivation (
      {
        inherit system;
        builder = "${bootstrapTools}/bin/sh";
        args = [
          "-eu"
          "-c"
          "eval \"$buildCommand\""
        ];
        PATH = "${bootstrapTools}/bin";
      }
      // attributes
    );

  stdenv = {
    tools = shell {
      name = "stdenv";
      buildCommand = "echo tools > $out";
    };
    mkDerivation =
      function:
      let
        attributes = if builtins.isFunction function then function attributes else function;
      in
      shell (
        {
          name = "${attributes.pname}-${attributes.version}";
          stdenv = stdenv.tools;
        }
        // attributes
      )
      // {
        inherit (attributes) pname version;
        mesonFlags = attributes.mesonFlags or [ ];
        patches = attributes.patches or [ ];
        overrideAttrs = more: stdenv.mkDerivation (attributes // more attributes);
      };
  };

  # A Nix as nixpkgs had it: one derivation, whose function takes the directories.
  single =
    version:
    lib.makeOverridable
      (
        {
          stdenv,
          storeDir ? config.nix.storeDir or "/nix/store",
          stateDir ? config.nix.stateDir or "/nix/var",
          confDir ? "/etc",
        }:
        stdenv.mkDerivation {
          pname = "nix";
          inherit version;
          src = fetchurl seed.nix;
          docs = shell (
            {
              name = "nix-manual-${version}";
              buildCommand = "echo manual > $out";
            }
            // seed.docs
          );
          patches = [ ];
          mesonFlags = [ "-Dlibstore:store-dir=${storeDir}" ];
          directories = "${storeDir} ${stateDir} ${confDir}";
          doCheck = true;
          buildCommand = ''
            [ -z "$doCheck" ]
            mkdir $out
            cd $out
            tar xf $src
            mkdir -p share
            echo $mesonFlags > share/flags
            echo $directories > share/directories
            for p in $patches; do echo $p >> share/patches; done
          '';
        }
      )
      { inherit stdenv; };

  # A Nix as nixpkgs has it: a derivation for each library, which take options alone.
  modular =
    version:
    let
      scope =
        {
          patches ? [ ],
          override ? (_: _: { }),
        }@state:
        let
          component =
            pname:
            let
              attributes = {
                inherit pname version patches;
                mesonFlags = [ ];
                doCheck = true;
                buildCommand = "echo $mesonFlags > $out";
              };
            in
            stdenv.mkDerivation (attributes // override attributes attributes);
        in
        stdenv.mkDerivation {
          pname = "nix";
          inherit version;
          components = map component [
            "nix-util"
            "nix-store"
            "nix-cli"
          ];
          buildCommand = "cat $components > $out";
        }
        // {
          components = map component [
            "nix-util"
            "nix-store"
            "nix-cli"
          ];
          appendPatches = more: scope (state // { patches = patches ++ more; });
          overrideAllMesonComponents = override: scope (state // { inherit override; });
        };
    in
    scope { };

  packages = {
    inherit lib stdenv fetchurl;
    nixVersions = {
      nix_2_24 = single "2.24.10";
      nix_2_26 = single seed.version;
      nix_2_28 = modular "2.28.6";
      nix_2_31 = stdenv.mkDerivation {
        pname = "nix";
        version = "2.31.2"; # there are patches for it, and no way to tell it of a store directory
      };
      git = single "2.40pre20260101_0123456";
      minimum = throw "it was taken away";
      override = _: { };
    };
    nix = packages.nixVersions.${seed.default};
    hello = stdenv.mkDerivation {
      pname = "hello";
      version = "1";
      buildCommand = ''
        mkdir -p $out/bin
        printf '#!%s\necho "Hello, world!"\n' ${bootstrapTools}/bin/sh > $out/bin/hello
        chmod +x $out/bin/hello
      '';
    };
  };
in
builtins.foldl' (set: overlay: set // overlay set set) packages overlays
