# What derivations can look like, for the tests: every attribute is one root.
let
  make = attrs: derivation ({ system = "x86_64-linux"; builder = "/bin/sh"; } // attrs);
  discard = builtins.unsafeDiscardStringContext;

  plain = make { name = "plain"; args = [ "-c" "echo hello > $out" ]; };
  many = make { name = "many-1.0"; outputs = [ "out" "dev" "lib" ]; inherit plain; };
  fixed = name: mode: algo: hash: make {
    inherit name plain;
    outputHashMode = mode;
    outputHashAlgo = algo;
    outputHash = hash;
  };
  md5 = "d41d8cd98f00b204e9800998ecf8427e";
  sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
  sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  sha512 = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
  note = builtins.toFile "note" "a note\n";
  script = builtins.toFile "script.sh" "cat ${note} ${builtins.storeDir}/${baseNameOf (toString note)}\n";
in rec {
  inherit plain many;
  dev = make { name = "dev"; args = [ many.dev many.lib ]; };
  flat-md5 = fixed "flat-md5" "flat" "md5" md5;
  flat-sha1 = fixed "flat-sha1" "flat" "sha1" sha1;
  flat-sha256 = fixed "flat-sha256" "flat" "sha256" sha256;
  flat-sha512 = fixed "flat-sha512" "flat" "sha512" sha512;
  nar-md5 = fixed "nar-md5" "recursive" "md5" md5;
  nar-sha1 = fixed "nar-sha1" "recursive" "sha1" sha1;
  nar-sha256 = fixed "nar-sha256" "recursive" "sha256" sha256;
  nar-sha512 = fixed "nar-sha512" "recursive" "sha512" sha512;
  uses-fixed = make { name = "uses-fixed"; srcs = [ flat-md5 flat-sha256 nar-sha1 nar-sha256 ]; };
  # The same output by another way, and something that has either.
  other-sha256 = make {
    name = "flat-sha256";
    inherit many;
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = sha256;
  };
  either = make { name = "either"; a = flat-sha256; b = other-sha256; };
  twice = make { name = "twice"; a = make { name = "same"; src = flat-sha256; }; b = (make { name = "same"; src = other-sha256; }); };
  texts = make { name = "texts"; args = [ script ]; inherit note; };
  discarded = make { name = "discarded"; path = discard "${many.dev}"; text = discard "${script}"; };
  discarded-drv = make { name = "discarded-drv"; drv = discard plain.drvPath; };
  drv-input = make { name = "drv-input"; drv = plain.drvPath; };
  drv-source = make { name = "drv-source"; drv = builtins.unsafeDiscardOutputDependency many.drvPath; };
  runs-on = make { name = "runs-on"; a = "${plain}-bar"; b = "${many.lib}.so"; };
  base = make { name = "base"; a = baseNameOf (toString plain); b = "x${builtins.substring 0 32 (discard (baseNameOf (toString plain)))}y"; };
  named = make { name = "named-${discard (baseNameOf (toString plain))}"; };
  named-fixed = make {
    name = "source-of-${discard (baseNameOf (toString plain))}";
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = sha256;
  };
  uses-named = make { name = "uses-named"; inherit named named-fixed; };
  store = make { name = "store"; flags = "-L${builtins.storeDir}/lib:${builtins.storeDir}"; quoted = "\"${plain}\"\n\t\\"; };
  structured = make {
    name = "structured";
    outputs = [ "out" "doc" ];
    __structuredAttrs = true;
    list = [ plain many.dev 1 true null ];
    nested.deep = { inherit note; };
  };
  itself = make { name = "itself"; outputs = [ "out" "bin" ]; env = "${placeholder "out"}:${placeholder "bin"}"; };
  checked = make { name = "checked"; allowedReferences = [ "out" plain ]; exportReferencesGraph = [ "graph" many ]; };
}
