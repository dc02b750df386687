{
  system,
  lock,
  shell,
}:

shell.run {
  name = "cacert";
  script = ./builders/cacert.sh;
  package = lock.file "cacert";
}
