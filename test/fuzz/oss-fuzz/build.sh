#!/bin/bash -eu
# Builds every fuzz target into $OUT, as OSS-Fuzz asks for it: with $CC, $CXX, $CFLAGS, $CXXFLAGS and $LIB_FUZZING_ENGINE,
# from $SRC/sennit, in $WORK; beside each target its seed corpus as a zip and its dictionary.
# https://google.github.io/oss-fuzz/getting-started/new-project-guide/
#
# Meson builds each target with test/fuzz/replay.c as its main program. The command that links it is run again here, with
# the engine in place of that file. Libraries are linked statically, because the machines that fuzz have none.
# FUZZ_TARGETS="json yaml" builds these alone.
source="$SRC/sennit"
build="$WORK/sennit-build"
fuzz="$source/test/fuzz"

if [ -n "${FUZZ_TARGETS:-}" ]; then
  targets=$FUZZ_TARGETS
else
  targets=$(cd "$fuzz" && grep -l LLVMFuzzerTestOneInput -- *.c | grep -v '^replay\.c$' | sed 's/\.c$//')
fi

# Without Postgres: what libpq needs to be linked statically is in no package of its own.
[ -e "$build/build.ninja" ] || meson setup "$build" "$source" --buildtype=plain -Dpostgres=disabled -Dprefer_static=true -Dwerror=false -Db_lundef=false

for name in $targets; do
  target="test/fuzz/fuzz_$name"
  if ! ninja -C "$build" -t query "$target" >/dev/null 2>&1; then
    echo "$name: left out, since a library is missing" >&2
    continue
  fi
  ninja -C "$build" --quiet "$target"
  read -ra words <<< "$(ninja -C "$build" -t commands -s "$target")"
  link=("$CXX")
  read -ra flags <<< "$CXXFLAGS"
  link+=("${flags[@]}")
  for word in "${words[@]:1}"; do
    case $word in
      *replay.c.o) ;;
      "$target") link+=("$OUT/fuzz_$name") ;;
      *) link+=("$word") ;;
    esac
  done
  read -ra engine <<< "$LIB_FUZZING_ENGINE"
  (cd "$build" && "${link[@]}" "${engine[@]}")
  if [ -d "$fuzz/corpus/$name" ]; then
    rm -f "$OUT/fuzz_${name}_seed_corpus.zip"
    (cd "$fuzz/corpus/$name" && find . -type f | sort | zip --quiet "$OUT/fuzz_${name}_seed_corpus.zip" -@)
  fi
  if [ -e "$fuzz/dict/$name.dict" ]; then
    cp "$fuzz/dict/$name.dict" "$OUT/fuzz_$name.dict"
  fi
done
