# Which of the two kinds a Nix of nixpkgs is; null if it is neither.
nix:
if nix ? overrideAllMesonComponents && nix ? appendPatches then
  "modular"
else if (nix.override.__functionArgs or { }) ? storeDir then
  "single"
else
  null
