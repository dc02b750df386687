# Builds GNU hello.
#
#   source     the source archive
#   toolchain  has the shell that configure and make use

# Bash would take SHELL from the password file of the machine.
export SHELL=$toolchain/usr/bin/bash CONFIG_SHELL=$toolchain/usr/bin/bash
tar --no-same-owner -xf "$source"
cd hello-*/
# Make runs some of these scripts by their first line, which names the machine's shell.
find build-aux -type f -exec sed -i "1s|^#! */bin/sh|#!$SHELL|" {} +
"$SHELL" ./configure --prefix="$out" --disable-dependency-tracking --disable-nls CFLAGS="-O2 -ffile-prefix-map=$PWD=."
make -j"${NIX_BUILD_CORES:-1}" SHELL="$SHELL" install-strip
