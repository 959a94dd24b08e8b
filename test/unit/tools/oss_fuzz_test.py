"""test/fuzz/oss-fuzz/build.sh in surroundings like OSS-Fuzz's: two of the targets, each run over its own seed corpus with
its dictionary. Skipped (exit status 77) without clang, its libFuzzer or zip."""
import os, shutil, subprocess, sys, tempfile, unittest, zipfile

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
FOLDER = os.path.join(TOP, "test/fuzz/oss-fuzz")
TARGETS = ("json", "yaml")


def run(argv, **more):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **more)
    if done.returncode != 0:
        raise AssertionError(f"{argv}: exit status {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def missing():
    for program in ("clang", "clang++", "zip"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "a.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write("int LLVMFuzzerTestOneInput(const char *data, unsigned long len) { return 0; }\n")
        try:
            run(["clang", "-fsanitize=fuzzer,address", source, "-o", os.path.join(folder, "a")])
        except AssertionError:
            return "clang has no libFuzzer here"
    return None


class OssFuzz(unittest.TestCase):
    def test_build(self):
        with tempfile.TemporaryDirectory() as folder:
            src, out, work = (os.path.join(folder, name) for name in ("src", "out", "work"))
            for path in (src, out, work):
                os.makedirs(path)
            os.symlink(TOP, os.path.join(src, "sennit"))
            flags = "-O1 -gline-tables-only -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION -fsanitize=address -fsanitize=fuzzer-no-link"
            run([os.path.join(FOLDER, "build.sh")],
                env=dict(os.environ, SRC=src, OUT=out, WORK=work, CC="clang", CXX="clang++", CFLAGS=flags, CXXFLAGS=flags,
                         LIB_FUZZING_ENGINE="-fsanitize=fuzzer", FUZZ_TARGETS=" ".join(TARGETS)))
            for name in TARGETS:
                program = os.path.join(out, f"fuzz_{name}")
                corpus = os.path.join(folder, f"{name}-corpus")
                with zipfile.ZipFile(f"{program}_seed_corpus.zip") as seeds:
                    seeds.extractall(corpus)
                self.assertEqual(sorted(os.listdir(corpus)), sorted(os.listdir(os.path.join(TOP, "test/fuzz/corpus", name))))
                output = run([program, f"-dict={program}.dict", "-runs=2000", "-seed=1", corpus], cwd=folder)
                self.assertIn("Done 2000 runs", output)
                self.assertRegex(output, r"Dictionary: [1-9]\d* entries")
                for library in ("libyaml", "libhiredis", "libcrypto"):
                    self.assertNotIn(library, run(["ldd", program]))

    def test_every_dictionary_belongs_to_a_target(self):
        for name in os.listdir(os.path.join(TOP, "test/fuzz/dict")):
            self.assertTrue(os.path.exists(os.path.join(TOP, "test/fuzz", name.replace(".dict", ".c"))), name)


if __name__ == "__main__":
    reason = missing()
    if reason is not None:
        print(f"the build for OSS-Fuzz is not tried: {reason}")
        sys.exit(77)
    unittest.main()
