# download URL FILE [SHA256]: fetch a file once; what was cut off goes on. Sourced after recipe.sh.
download() {
  [[ ! -f $2 ]] || return 0
  mkdir -p "${2%/*}"
  echo "stage 0, fetch: $1"
  curl --fail --location --no-progress-meter --retry 3 --continue-at - --output "$2.part" "$1" ||
    die "$1 cannot be fetched: get it by other means, and give it by an option (see --help)."
  if [[ -n ${3-} && $(sha256_of "$2.part") != "$3" ]]; then
    rm "$2.part"
    die "$1 arrived damaged: run the same command again."
  fi
  mv "$2.part" "$2"
}

sha256_of() { # FILE; macOS has no sha256sum
  python -c 'import hashlib, sys; print(hashlib.file_digest(open(sys.argv[1], "rb"), "sha256").hexdigest())' "$1"
}
