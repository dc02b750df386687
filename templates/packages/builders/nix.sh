# Builds Nix with the directories of a prefix compiled in.
#
#   source                    the source archive
#   patches                   patch files, in order
#   store, state, log, conf   the directories; state and conf end in /nix
#   options                   what Meson is told besides, for this version of Nix
#   cacert                    has the certificates Nix trusts when it is told of no others
#   toolchain, triplet        where headers and libraries are
#   optimization              0: quick to build; 2: quick to run
#   unity                     on: several sources in one compilation; off: one by one

# The archive's top folder is not always called nix-<version>.
mkdir source
tar --no-same-owner --strip-components=1 -C source -xf "$source"
cd source
for patch in $patches; do
	echo "applying ${patch##*/}"
	patch -p1 --fuzz=0 --no-backup-if-mismatch <"$patch"
done

# Meson is Python. As root, without a sandbox, Python could write what it compiles into the store.
export PYTHONDONTWRITEBYTECODE=1
# Headers and libraries come from the toolchain, wherever a tool has its own idea of where to look.
export PKG_CONFIG_LIBDIR=$toolchain/usr/lib/$triplet/pkgconfig:$toolchain/usr/share/pkgconfig
export PKG_CONFIG_SYSROOT_DIR=$toolchain
export BOOST_ROOT=$toolchain/usr
export CMAKE_PREFIX_PATH=$toolchain/usr
export BISON_PKGDATADIR=$toolchain/usr/share/bison
export M4=$toolchain/usr/bin/m4
# What readline-flavor asks for.
export EDITLINE_CFLAGS=-DREADLINE
export EDITLINE_LIBS="$toolchain/usr/lib/$triplet/libhistory.so $toolchain/usr/lib/$triplet/libreadline.so"
# No path of the build directory or of the toolchain ends up in the programs.
top=${PWD%/source}
export CXXFLAGS="-O$optimization -ffile-prefix-map=$top=. -ffile-prefix-map=$toolchain=/toolchain"
export CFLAGS=$CXXFLAGS
# The linker's digest of the whole program would be the one thing that a relocated Nix has of another
# place: the rest is what is linked there, byte for byte. It is for finding debugging information.
export LDFLAGS=-Wl,--build-id=none

meson setup ../build \
	--prefix="$out" --libdir=lib --libexecdir=libexec \
	--localstatedir="${state%/nix}" --sysconfdir="${conf%/nix}" \
	--buildtype=plain \
	--unity="$unity" --unity-size=24 -Ddefault_library=static --wrap-mode=nodownload \
	$options

# What is compiled in is what was asked for: an option that Meson dropped would be found out much later.
# The directories are in flags of the compiler, or, from 2.28 on, in a header.
configured() {
	grep -qF -- "-D$1=\"$2\"" ../build/build.ninja || grep -rqxF --include='*config*.hh' "#define $1 \"$2\"" ../build
}
for directory in "STORE $store" "STATE $state" "LOG $log" "CONF $conf"; do
	if ! configured "NIX_${directory%% *}_DIR" "${directory#* }"; then
		echo "nix: Meson did not take the directory ${directory#* }" >&2
		exit 1
	fi
done
if ! grep -qF -- " -O$optimization " ../build/build.ninja; then
	echo "nix: Meson did not take -O$optimization" >&2
	exit 1
fi

# Ninja keeps what it prints in a buffer while nobody looks on a terminal; its log is up to date.
total=$(ninja -C ../build -n | sed -n 's|^\[[0-9]*/\([0-9]*\)\].*|\1|p' | tail -n 1)
progress() {
	while sleep 1; do
		echo "@progress $(grep -v '^#' ../build/.ninja_log 2>/dev/null | cut -f 1,2,5 | sort -u | wc -l) $total steps"
	done
}
progress &
watcher=$!
# While it runs it holds the build's output open, and Nix waits for that to be closed.
trap 'kill "$watcher" 2>/dev/null || :' EXIT
started=$SECONDS
ninja -C ../build -j"${NIX_BUILD_CORES:-1}"
kill "$watcher"
trap - EXIT
echo "ninja took $((SECONDS - started)) seconds"
meson install -C ../build --no-rebuild --strip --quiet

# The libraries are inside the programs; the profile scripts name /nix and are written by the installer;
# the rest is for machines whose system runs a daemon.
rm -rf "$out/lib" "$out/include" "$out/etc"
mkdir -p "$out/etc/ssl/certs"
ln -s "$cacert/etc/ssl/certs/ca-bundle.crt" "$out/etc/ssl/certs/ca-bundle.crt"

# Without a sandbox the build directory has a name that no other build has.
if [ "$top" != /build ] && grep -rqF "$top" "$out"; then
	echo "nix: the name of the build directory, $top, is in the result" >&2
	exit 1
fi
