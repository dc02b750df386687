# Unpacks Debian packages into $out and makes what is in them run from there.
#
#   packages  the .deb files of the toolchain
#   patchelf  the .deb files of patchelf 0.14.3 and its libraries
#   triplet   Debian's name of the architecture, as in usr/lib/$triplet
#   loader    file name of the dynamic loader
#   seal      the script that makes a C library keep to its directory
#
# Runs in a busybox shell. Tells its progress in lines "@progress <done> <total> <unit>".

jobs=${NIX_BUILD_CORES:-1}
[ "$jobs" -gt 0 ] || jobs=$(nproc)
work=$PWD
# Its caches of compiled modules would hold times that change.
export PYTHONDONTWRITEBYTECODE=1

# count TOTAL UNIT: turns each eighth line of input into a line of progress.
count() {
	n=0
	while read -r _; do
		n=$((n + 1))
		[ $((n % 8)) -ne 0 ] && [ "$n" -ne "$1" ] || echo "@progress $n $1 $2"
	done
}

# each COMMAND...: runs COMMAND with each line of input as its last argument, $jobs at a time.
# An error in one of them ends the build: the pipe's own status is lost, so a file tells of it.
each() {
	tr '\n' '\0' | xargs -0 -r -n 1 -P "$jobs" sh -eu "$@" || touch "$work/failed"
}

check() {
	if [ -e "$work/failed" ]; then
		echo "toolchain: $1 failed" >&2
		exit 1
	fi
}

# Patchelf, run by its own dynamic loader on its own libraries: those it relinks are never its own.
mkdir "$work/patchelf"
for deb in $patchelf; do
	dpkg-deb -x "$deb" "$work/patchelf"
done
tools=$work/patchelf
libraries=$(find "$tools" -name libc.so.6 -exec dirname {} \;):$tools/usr/lib/$triplet
ld=$(find "$tools" -name "$loader" ! -type l)
export ld libraries tools triplet loader out

mkdir "$out"
cat >unpack.sh <<-'END'
	dpkg-deb -x "$1" "$out"
	echo unpacked
END
set -- $packages
for deb in $packages; do echo "$deb"; done | each unpack.sh | count $# packages
check unpacking

# What a compiler does not read.
cd "$out"
rm -rf boot dev etc/init.d home proc root run srv sys tmp var usr/games usr/local usr/src
cd usr/share
rm -rf bash-completion bug common-licenses doc doc-base emacs gdb gtk-doc info lintian locale man menu \
	pixmaps polkit-1 vim zsh
cd "$out"
rm -f usr/bin/*lto-dump* usr/bin/*gp-* usr/bin/*gprofng*
find usr/libexec/gcc -name lto1 -exec rm {} +
find "usr/lib/$triplet" usr/lib/gcc -name 'lib*san*' -exec rm -rf {} +
# Static libraries, but for those that the linker needs in every program.
find "usr/lib/$triplet" -maxdepth 1 -name 'lib*.a' ! -name 'lib*_nonshared.a' ! -name libpthread.a \
	! -name libdl.a ! -name librt.a ! -name libutil.a ! -name libBrokenLocale.a -exec rm {} +

# Debian has these at the root, and linker scripts go by them.
for directory in bin sbin lib lib64; do
	[ -e "$directory" ] || ln -s "usr/$directory" "$directory"
done

# Links and interpreter lines that name the root of a file system mean this directory.
# They are listed first: a directory that changes while it is read may show an entry twice.
# python3 is a link to python3.13, and shorter: a kernel before 5.1 reads 127 bytes of such a line.
find . -type l >"$work/links"
while read -r link; do
	target=$(readlink "$link")
	case $target in
	/*) ln -sfn "$out$target" "$link" ;;
	esac
done <"$work/links"
ln -sfn bash usr/bin/sh
ln -sfn gawk usr/bin/awk
ln -sfn g++ usr/bin/c++
ln -sfn gcc usr/bin/cc
find usr -type f -perm /111 ! -name '*.so*' >"$work/scripts"
while read -r file; do
	IFS= read -r line <"$file" 2>/dev/null || continue
	case $line in
	'#!/usr/bin/env '* | '#! /usr/bin/env '*) sed -i "1s|#! */usr/bin/env  *|#!$out/usr/bin/|" "$file" ;;
	'#!/usr/bin/python3.'* | '#! /usr/bin/python3.'*) sed -i "1s|#! */usr/bin/python3\.[0-9]*|#!$out/usr/bin/python3|" "$file" ;;
	'#!/usr/bin/'* | '#! /usr/bin/'*) sed -i "1s|#! */usr/bin/|#!$out/usr/bin/|" "$file" ;;
	'#!/bin/'* | '#! /bin/'*) sed -i "1s|#! */bin/|#!$out/usr/bin/|" "$file" ;;
	esac
done <"$work/scripts"

# Programs and libraries find the dynamic loader and each other here.
# The loader and the C library need nothing, and patchelf would break them.
cat >"$work/relink.sh" <<-'END'
	echo relinked
	[ "$(head -c 4 "$1" | od -An -tx1 | tr -d ' \n')" = 7f454c46 ] || exit 0
	patchelf() { "$ld" --library-path "$libraries" "$tools/usr/bin/patchelf" "$@"; }
	if patchelf --print-interpreter "$1" >/dev/null 2>&1; then
		patchelf --set-interpreter "$out/usr/lib/$triplet/$loader" --set-rpath "$out/usr/lib/$triplet" "$1"
	elif patchelf --print-needed "$1" 2>/dev/null | grep -q .; then
		patchelf --set-rpath "$out/usr/lib/$triplet" "$1"
	fi
END
# One name for each file: two of these at once on two names of one file would spoil it.
find "$out/usr" -type f \( -perm /111 -o -name '*.so*' \) ! -name "$loader" ! -name libc.so.6 ! -name libm.so.6 \
	! -name '*.py' ! -name '*.sh' -exec stat -c '%i %n' {} + | sort -n -u -k 1,1 | cut -d ' ' -f 2- >"$work/objects"
each "$work/relink.sh" <"$work/objects" | count "$(wc -l <"$work/objects")" files
check relinking

python3=$out/usr/bin/python3
"$python3" "$seal" "$out/usr/lib/$triplet" "$loader" "$triplet"

# Patchelf again, for the derivations that come after: all it needs in one directory.
mkdir "$out/patchelf"
cp "$tools/usr/bin/patchelf" "$ld" "$out/patchelf"
for name in libc.so.6 libm.so.6 libgcc_s.so.1 libstdc++.so.6; do
	cp -L "$(find "$tools" -name "$name" | head -n 1)" "$out/patchelf/$name"
done

# Known here, and not in an hour, if one of these cannot run.
"$out/usr/bin/g++" --version >/dev/null
"$out/usr/bin/meson" --version >/dev/null
