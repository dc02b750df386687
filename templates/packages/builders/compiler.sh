# Commands that compile with the toolchain and link for the runtime.
#
#   toolchain  where gcc, its headers and its libraries are
#   runtime    where the programs it makes find theirs
#   loader     file name of the dynamic loader

mkdir -p "$out/bin"
for name in gcc g++ cc c++; do
	cat >"$out/bin/$name" <<-END
		#!$toolchain/usr/bin/bash
		exec $toolchain/usr/bin/$name --sysroot=$toolchain -B$toolchain/usr/bin/ \\
			-Wl,--dynamic-linker=$runtime/lib/$loader -Wl,-rpath,$runtime/lib "\$@"
	END
	chmod 755 "$out/bin/$name"
done
# The preprocessor takes no options for the linker.
cat >"$out/bin/cpp" <<-END
	#!$toolchain/usr/bin/bash
	exec $toolchain/usr/bin/cpp --sysroot=$toolchain "\$@"
END
chmod 755 "$out/bin/cpp"
