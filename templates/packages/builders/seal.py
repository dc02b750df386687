# Makes a C library of Debian's keep to the directory it is in.
#
#   seal.py DIRECTORY LOADER TRIPLET
#
# The loader also looks into the library directories of the machine it runs on, into their cache,
# and preloads what an administrator listed. A library found there was made for another C library:
# a program crashes, or does something else than where it was built. The names are made ones below
# /dev, where no libraries are and only root can put any. They keep their length, since the loader
# has the lengths in a table.
#
# libc.so.6 can be run, to print its version, and names the machine's loader for that.
import os
import shutil
import struct
import sys

directory, loader, triplet = sys.argv[1:]


def rewrite(name, change):
    path = os.path.join(directory, name)
    with open(path, "rb") as file:
        data = bytearray(file.read())
    change(path, data)
    # Python may be running on this very file: it gets a new one, not new contents.
    with open(path + ".sealed", "wb") as file:
        file.write(data)
    shutil.copymode(path, path + ".sealed")
    os.replace(path + ".sealed", path)


def seal_loader(path, data):
    directories = [f"/lib/{triplet}/", f"/usr/lib/{triplet}/", "/lib/", "/usr/lib/"]
    for old, new in (
        (
            b"".join(name.encode() + b"\0" for name in directories),
            b"".join(b"/dev".ljust(len(name), b"/") + b"\0" for name in directories),
        ),
        (b"\0/etc/ld.so.cache\0", b"\0/dev/ld.so.cache\0"),
        (b"\0/etc/ld.so.preload\0", b"\0/dev/ld.so.preload\0"),
    ):
        if old not in data:
            sys.exit(f"seal: {path}: no {old!r} in it")
        data[:] = data.replace(old, new)


def drop_interpreter(path, data):
    # ELF-64, little-endian (gABI, chapters 4 and 5): e_phoff, e_phentsize, e_phnum; p_type comes first.
    if data[:6] != b"\x7fELF\x02\x01":
        sys.exit(f"seal: {path}: not a 64-bit little-endian ELF file")
    (offset,) = struct.unpack_from("<Q", data, 0x20)
    size, count = struct.unpack_from("<HH", data, 0x36)
    for header in range(offset, offset + size * count, size):
        if struct.unpack_from("<I", data, header) == (3,):  # PT_INTERP
            struct.pack_into("<I", data, header, 0)  # PT_NULL


rewrite(loader, seal_loader)
rewrite("libc.so.6", drop_interpreter)
