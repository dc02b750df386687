# Some dozens of derivations for whichever store directory evaluates them, with the package set beside this file.
# Each program prints its own path and that of another one, which is what `check` holds them to: that derivation
# alone is nowhere to be had, and runs all of them.
let
  packages = import ./packages { };
  inherit (packages) toolchain compiler hello;
  system = builtins.currentSystem;
  loader = "${toolchain}/usr/lib/${toolchain.triplet}/${toolchain.loader}";

  # Bash replaces itself with the last program of a script that it has as an argument, and programs of GNU coreutils
  # close their standard error before they exit. Nix kills a builder that has closed it, so bash has to be the last.
  make =
    name: attributes: script:
    derivation (
      {
        inherit name system data;
        builder = "${toolchain}/usr/bin/bash";
        args = [
          "-euc"
          (script + ":")
        ];
        PATH = "${compiler}/bin:${toolchain}/usr/bin";
      }
      // attributes
    );

  data = derivation {
    name = "data";
    inherit system;
    builder = "${toolchain}/usr/bin/bash";
    args = [
      "-c"
      "echo data >$out"
    ];
  };

  # The path is copied to a buffer, compared, and printed: each is another way for a compiler to take it apart.
  c =
    level:
    make "c-${level}" { source = builtins.toFile "program.c" ''
      #include <stdio.h>
      #include <string.h>
      static const char data[] = DATA;
      int main(void) {
        char own[256];
        strcpy(own, OUT);
        if (memcmp(own, OUT, sizeof OUT)) return 1;
        printf("%s %s\n", own, data);
        return 0;
      }
    ''; } ''
      mkdir -p $out/bin
      gcc -${level} -DOUT="\"$out\"" -DDATA="\"$data\"" -o $out/bin/run -x c $source
    '';

  cxx = make "cxx" { source = builtins.toFile "program.cc" ''
    #include <iostream>
    #include <string>
    int main() {
      std::string own = OUT;
      own += " ";
      std::cout << own + DATA << std::endl;
    }
  ''; } ''
    mkdir -p $out/bin
    g++ -O2 -DOUT="\"$out\"" -DDATA="\"$data\"" -o $out/bin/run -x c++ $source
  '';

  library = make "library" { source = builtins.toFile "library.c" ''const char *own(void) { return OUT; }''; } ''
    mkdir -p $out/lib
    gcc -O2 -shared -fPIC -DOUT="\"$data\"" -o $out/lib/libown.so -x c $source
  '';

  linked = make "linked" { inherit library; source = builtins.toFile "linked.c" ''
    #include <stdio.h>
    const char *own(void);
    int main(void) { printf("%s %s\n", OUT, own()); return 0; }
  ''; } ''
    mkdir -p $out/bin
    gcc -O1 -DOUT="\"$out\"" -o $out/bin/run -x c $source -x none -L$library/lib -lown -Wl,-rpath,$library/lib
  '';

  # Of OpenSSL, the library is asked for a digest.
  openssl = make "openssl" { source = builtins.toFile "openssl.c" ''
    #include <openssl/evp.h>
    #include <stdio.h>
    int main(void) {
      unsigned char sum[EVP_MAX_MD_SIZE];
      unsigned int n = 0;
      if (!EVP_Digest("", 0, sum, &n, EVP_sha256(), NULL) || n != 32 || sum[0] != 0xe3) return 1;
      printf("%s %s\n", OUT, DATA);
      return 0;
    }
  ''; } ''
    mkdir -p $out/bin
    gcc -O2 -DOUT="\"$out\"" -DDATA="\"$data\"" -o $out/bin/run -x c $source -x none -lcrypto
  '';

  perl = make "perl" { } ''
    mkdir -p $out/bin $out/share/perl
    printf 'package Own;\nour $own = "%s";\n1;\n' $out >$out/share/perl/Own.pm
    printf '#!${toolchain}/usr/bin/perl\nBEGIN { unshift @INC, "%s/share/perl" }\nuse Own;\nprint "$Own::own %s\\n";\n' $out $data >$out/bin/run
    chmod 755 $out/bin/run
  '';

  python = make "python" { } ''
    mkdir -p $out/bin $out/lib
    printf 'own = "%s"\n' $out >$out/lib/own.py
    printf '#!${toolchain}/usr/bin/python3\nimport sys\nsys.path.insert(0, "%s/lib")\nimport own\nprint(own.own, "%s")\n' $out $data >$out/bin/run
    chmod 755 $out/bin/run
    python3 -m compileall -q $out/lib
  '';

  # A program of another compiler, with a place for two paths in it.
  filled = name: file: make name { inherit file; } ''
    mkdir -p $out/bin
    own=$(printf '%-80s' $out) other=$(printf '%-80s' $data)
    LC_ALL=C sed "s|@own@.\{75\}|$own|g; s|@data@.\{74\}|$other|g" $file >$out/bin/run
    chmod 755 $out/bin/run
  '';
  go = filled "go" ./programs/go;
  rust = filled "rust" ./programs/rust;
  have = name: builtins.pathExists (./programs + "/${name}");

  # Each has a file whose name has a hash part in it, so that entries change their order.
  chain = n: make "chain-${toString n}" { before = if n == 0 then data else chain (n - 1); } ''
    mkdir -p $out/share
    for name in $before $data $out; do
      echo $name >$out/share/$(basename $name)
      ln -sfn $name $out/share/to-$(basename $name)
    done
    gzip -n <<<nothing >$out/share/nothing.gz
  '';

  programs = [
    (c "O0")
    (c "O1")
    (c "O2")
    (c "O3")
    (c "Os")
    cxx
    linked
    openssl
    perl
    python
  ]
  ++ (if have "go" then [ go ] else [ ])
  ++ (if have "rust" then [ rust ] else [ ]);

  last = chain 19;

  all = make "all" { inherit programs last hello; } ''
    mkdir $out
    for program in $programs; do ln -s $program $out/; done
    ln -s $last $hello $out/
  '';
  # For what goes wrong.
  spare = n: make "spare-${toString n}" { } ''
    mkdir $out
    echo $out ${toString n} >$out/file
  '';
in
{
  inherit all data;
  spares = builtins.genList spare 8;

  check = make "check" { inherit programs last hello all loader; } ''
    [ ! -e ${if builtins.storeDir == "/nix/store" then "/none" else "/nix"} ]
    for program in $programs; do
      case $program in
      *-rust) said=$($loader --library-path $(dirname $loader) $program/bin/run) ;;
      *) said=$($program/bin/run) ;;
      esac
      [ "$(echo $said)" = "$program $data" ] || { echo "$program says $said"; exit 1; }
      echo $said >>$out
    done
    $hello/bin/hello >>$out
    for name in chain-19 chain-18 data; do
      file=$(echo $last/share/[!t]*-$name)
      [ "$(basename $(cat $file))" = $(basename $file) ]
      [ -e $(cat $file) ]
    done
    [ "$(readlink $last/share/to-*-data)" = $data ]
    gcc --version >>$out
  '';
}
