"""tools/fuzz on made-up fuzzers: one that finds nothing, one that finds something, one that cannot start."""
import os, subprocess, sys, tempfile, unittest

FUZZ = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tools/fuzz")
CALM = """echo '#3 INITED cov: 10 ft: 20 corp: 3/9b'
echo '#9 NEW    cov: 12 ft: 25 corp: 4/9b'
echo 'stat::number_of_executed_units: 4321'
"""
# libFuzzer gets -artifact_prefix=DIRECTORY/ and puts what it found there.
CRASHES = CALM + """for word; do case $word in -artifact_prefix=*) echo x > "${word#*=}crash-1234";; esac; done
echo 'ERROR: libFuzzer: deadly signal'
exit 77
"""


def fuzz(programs, *more, seconds="1"):
    with tempfile.TemporaryDirectory() as build:
        os.makedirs(os.path.join(build, "test/fuzz"))
        for name, text in programs.items():
            path = os.path.join(build, "test/fuzz", name)
            with open(path, "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\n" + text)
            os.chmod(path, 0o755)
        done = subprocess.run([sys.executable, FUZZ, build, *more], capture_output=True, text=True,
                              env=dict(os.environ, SECONDS=seconds))
        left = [name for _, _, names in os.walk(os.path.join(build, "fuzz")) for name in names]
        return done.returncode, done.stdout + done.stderr, left


class Fuzz(unittest.TestCase):
    def test_nothing_found(self):
        status, output, _ = fuzz({"fuzz_calm": CALM})
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"calm +4,321 inputs, +12 edges \(\+2\), +25 features \(\+5\)")
        self.assertIn("1 fuzzers of 1 s each, 0 found something", output)

    def test_something_found(self):
        status, output, left = fuzz({"fuzz_calm": CALM, "fuzz_wild": CRASHES})
        self.assertEqual(status, 1, output)
        self.assertRegex(output, r"wild +FOUND SOMETHING \(exit status 77\)")
        self.assertRegex(output, r"again: \S+/fuzz_wild \S+/crash-1234")
        self.assertIn("2 fuzzers of 1 s each, 1 found something\n  wild", output)
        self.assertEqual(left, ["crash-1234"])

    def test_a_fuzzer_that_does_not_fuzz_is_a_failure(self):
        for text in ("exit 0\n", "exit 1\n"):
            status, output, _ = fuzz({"fuzz_dead": text})
            self.assertEqual(status, 1, output)

    def test_only(self):
        status, output, _ = fuzz({"fuzz_calm": CALM, "fuzz_wild": CRASHES}, "--only", "calm")
        self.assertEqual(status, 0, output)

    def test_nothing_to_run_is_a_failure(self):
        self.assertNotEqual(fuzz({})[0], 0)
        self.assertNotEqual(fuzz({"fuzz_calm": CALM}, "--only", "tame")[0], 0)

    def test_seconds(self):
        status, output, _ = fuzz({"fuzz_calm": CALM}, seconds="soon")
        self.assertEqual(status, 1)
        self.assertIn('SECONDS: expected a number of seconds, found "soon"', output)


if __name__ == "__main__":
    unittest.main()
