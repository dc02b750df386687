# Makes a dynamic loader find libraries only where a program's RUNPATH says.
#
#   seal-loader.py FILE TRIPLET
#
# A loader of Debian's also looks into the library directories of the machine it runs on, into their
# cache, and preloads what an administrator listed. A library found there was made for another C
# library: a program crashes, or does something else than where it was built. The names are made ones
# below /dev, where no libraries are and only root can put any. They keep their length, since the
# loader has the lengths in a table.
import os
import shutil
import sys

path, triplet = sys.argv[1:]
with open(path, "rb") as file:
    data = file.read()


def replace(old, new):
    global data
    if old not in data:
        sys.exit(f"seal-loader: {path}: no {old!r} in it")
    data = data.replace(old, new)


directories = [f"/lib/{triplet}/", f"/usr/lib/{triplet}/", "/lib/", "/usr/lib/"]
replace(
    b"".join(name.encode() + b"\0" for name in directories),
    b"".join(b"/dev".ljust(len(name), b"/") + b"\0" for name in directories),
)
replace(b"\0/etc/ld.so.cache\0", b"\0/dev/ld.so.cache\0")
replace(b"\0/etc/ld.so.preload\0", b"\0/dev/ld.so.preload\0")

# Python may be running on this very loader: it gets a new file, not new contents.
with open(path + ".sealed", "wb") as file:
    file.write(data)
shutil.copymode(path, path + ".sealed")
os.replace(path + ".sealed", path)
