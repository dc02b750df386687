# Copies the shared libraries that programs need while they run out of the toolchain.
#
#   toolchain  the store path to copy from; nothing of it is left in $out
#   libraries  names as given to the linker: curl-gnutls for libcurl-gnutls.so
#   optional   the same, of libraries that the toolchain need not have
#   sonames    names as the loader sees them: libc.so.6
#   triplet    Debian's name of the architecture
#   loader     file name of the dynamic loader

source=$toolchain/usr/lib/$triplet
mkdir -p "$out/lib"

patchelf() { "$toolchain/patchelf/$loader" --library-path "$toolchain/patchelf" "$toolchain/patchelf/patchelf" "$@"; }

soname() { patchelf --print-soname "$1"; }

# The closure over DT_NEEDED.
wanted=($sonames "$loader")
for library in $libraries; do
	wanted+=("$(soname "$source/lib$library.so")")
done
for library in $optional; do
	[ ! -e "$source/lib$library.so" ] || wanted+=("$(soname "$source/lib$library.so")")
done
while [ ${#wanted[@]} -gt 0 ]; do
	name=${wanted[0]}
	wanted=("${wanted[@]:1}")
	[ -e "$out/lib/$name" ] && continue
	cp -L "$source/$name" "$out/lib/$name"
	chmod 755 "$out/lib/$name"
	for needed in $(patchelf --print-needed "$out/lib/$name"); do
		wanted+=("$needed")
	done
done

for file in "$out"/lib/*; do
	case ${file##*/} in
	"$loader" | libc.so.6 | libm.so.6) continue ;;
	esac
	patchelf --set-rpath "$out/lib" "$file"
done
