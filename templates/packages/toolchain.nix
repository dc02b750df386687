{
  system,
  lock,
  shell,
}:

shell.run {
  name = "toolchain";
  script = ./builders/toolchain.sh;
  packages = lock.files "toolchain";
  patchelf = lock.files "patchelf";
  seal = ./builders/seal.py;
  inherit (lock) triplet loader;
}
// {
  inherit (lock) triplet loader;
}
