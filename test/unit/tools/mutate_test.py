"""tools/mutate on a made-up tree: a product of one file, a simulator and a unit test that are shell scripts."""
import os, shutil, stat, subprocess, sys, tempfile, unittest

MUTATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tools/mutate")
# Seed 3 objects to a product without `honest`, seed 4 never ends with `slow`.
SIMULATOR = """shift
for seed; do
    grep -q slow ../src/product.c && [ "$seed" = 4 ] && sleep 60
    grep -q honest ../src/product.c || [ "$seed" != 3 ] || { echo "FAILED seed 3: at 1 s: message 9 was lost"; exit 1; }
done"""
UNIT = """grep -q tidy ../src/product.c && exit 0
echo '[  ERROR   ] --- 1 != 2'
echo '[  FAILED  ] it_is_tidy'
exit 1"""
FILES = {
    "src/product.c": "one\nhonest\nthree\ntidy\nfive\ntwice\ntwice\n",
    "test/sim/seeds.txt": "# none\n2 what it found\n",
    "tools/build": '#!/bin/sh\ncd "$(dirname "$0")/.." && mkdir -p "$1"\n',
    "bin/ninja": "#!/bin/sh\n! grep -q broken \"$2/../src/product.c\" || { echo 'syntax error'; exit 1; }\n",
    "bin/meson": """#!/bin/sh
echo '[{"name": "sim/fleets", "cmd": ["'$2'/../bin/simulator"]}, {"name": "cli/main", "cmd": ["'$2'/../bin/unit"]},
    {"name": "hub/hub", "cmd": ["'$2'/../bin/unit"]}]'
""",
    "bin/simulator": "#!/bin/sh\ncd \"$(dirname \"$0\")\"\n" + SIMULATOR + "\n",
    "bin/unit": "#!/bin/sh\ncd \"$(dirname \"$0\")\"\n" + UNIT + "\n",
}


def patch(old, new, judge="Seed: 3\n", more="Breaks: a promise.\nShows: at once.\n"):
    lines = [f"-{line}\n" for line in old.split()] + [f"+{line}\n" for line in new.split()]
    return f"What is wrong.\n\n{more}{judge}--- a/src/product.c\n+++ b/src/product.c\n@@ -99 +99 @@\n" + "".join(lines)


class Mutate(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.tree, self.scratch = (os.path.join(self.folder.name, name) for name in ("tree", "scratch"))
        os.makedirs(self.scratch)
        for path, text in FILES.items():
            self.write(path, text)
        os.makedirs(os.path.join(self.tree, "test/mutants"))
        shutil.copy(MUTATE, os.path.join(self.tree, "tools/mutate"))

    def tearDown(self):
        self.folder.cleanup()

    def write(self, path, text):
        path = os.path.join(self.tree, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def read(self, path):
        with open(os.path.join(self.tree, path), encoding="utf-8") as file:
            return file.read()

    def mutate(self, *words, **mutants):
        for name, text in mutants.items():
            self.write(f"test/mutants/{name}.patch", text)
        path = os.path.join(self.tree, "bin") + ":" + os.environ["PATH"]
        done = subprocess.run([sys.executable, os.path.join(self.tree, "tools/mutate"), "--seeds", "1-5", *words],
                              capture_output=True, text=True, env=dict(os.environ, PATH=path, TMPDIR=self.scratch))
        self.assertEqual(os.listdir(self.scratch), [])
        self.assertEqual(self.read("src/product.c"), FILES["src/product.c"])
        return done.returncode, done.stdout + done.stderr

    def test_what_the_simulator_objects_to(self):
        status, output = self.mutate(liar=patch("honest", "lie"))
        self.assertEqual(status, 0, output)
        self.assertIn("killed   liar  by sim seed 3: at 1 s: message 9 was lost\n1 killed, 0 survived\n", output)

    def test_what_a_unit_test_objects_to(self):
        status, output = self.mutate(messy=patch("tidy", "mess", "Test: hub/hub\n"))
        self.assertEqual(status, 0, output)
        self.assertIn("killed   messy  by unit hub/hub: it_is_tidy: 1 != 2\n", output)

    def test_what_nothing_objects_to(self):
        status, output = self.mutate(ghost=patch("five", "six"), liar=patch("honest", "lie"))
        self.assertEqual(status, 1, output)
        self.assertIn("SURVIVED ghost: What is wrong.", output)
        self.assertIn("1 killed, 1 survived\n", output)

    def test_a_judge_that_is_not_the_one(self):
        self.assertIn("lost (not by what it names: tools/mutate --find)", self.mutate(liar=patch("honest", "lie", "Seed: 5\n"))[1])
        self.assertIn("1 != 2 (not by", self.mutate("messy", messy=patch("tidy", "mess", "Seed: 5\n"))[1])

    def test_find(self):
        status, output = self.mutate("--find", liar=patch("honest", "lie", ""), messy=patch("tidy", "mess", "Seed: 5\n"))
        self.assertEqual(status, 0, output)
        self.assertEqual(self.read("test/mutants/liar.patch"), patch("honest", "lie"))
        self.assertEqual(self.read("test/mutants/messy.patch"), patch("tidy", "mess", "Test: hub/hub\n"))

    def test_names(self):
        mutants = {"liar": patch("honest", "lie"), "ghost": patch("five", "six")}
        self.assertIn("1 killed, 0 survived\n", self.mutate("li*", **mutants)[1])
        self.assertIn("ghosts: there is no such mutant", self.mutate("ghosts")[1])
        self.assertRegex(self.mutate("--list")[1], r"ghost +seed 3 +What is wrong\.\nliar ")

    def test_sim_only(self):
        status, output = self.mutate("--sim-only", messy=patch("tidy", "mess", "Test: hub/hub\n"))
        self.assertEqual(status, 1, output)
        self.assertIn("SURVIVED messy", output)

    def test_a_mutant_that_cannot_be_tried_is_not_killed(self):
        for text, words in ((patch("absent", "x"), "does not apply: src/product.c holds these lines 0 times"),
                            (patch("twice", "x"), "does not apply: src/product.c holds these lines 2 times"),
                            (patch("honest", "broken"), "does not build:\nsyntax error"),
                            (patch("honest", "lie", "Test: hub/none\n"), "there is no test hub/none"),
                            ("Nothing.\n", "changes nothing")):
            status, output = self.mutate(odd=text)
            self.assertEqual(status, 1, output)
            self.assertIn(f"ERROR    odd: {words}", output)
            self.assertIn("0 killed, 0 survived, 1 could not be tried", output)

    def test_a_run_that_does_not_end(self):
        text = self.read("tools/mutate").replace("SEED_SECONDS, TEST_SECONDS = 15, 90", "SEED_SECONDS, TEST_SECONDS = 1, 1")
        self.write("tools/mutate", text)
        status, output = self.mutate(snail=patch("five", "slow", "Seed: 4\n"))
        self.assertEqual(status, 0, output)
        self.assertIn("killed   snail  by sim seed 4: does not end\n", output)

    def test_a_tree_that_fails_by_itself(self):
        self.write("src/product.c", FILES["src/product.c"].replace("tidy", "mess"))
        self.write("test/mutants/liar.patch", patch("honest", "lie"))
        path = os.path.join(self.tree, "bin") + ":" + os.environ["PATH"]
        done = subprocess.run([sys.executable, os.path.join(self.tree, "tools/mutate")], capture_output=True, text=True,
                              env=dict(os.environ, PATH=path))
        self.assertEqual(done.returncode, 1)
        self.assertIn("the tree as it is fails: test hub/hub: it_is_tidy", done.stderr)

    def test_check(self):
        status, output = self.mutate("--check", liar=patch("honest", "lie"), messy=patch("tidy", "mess", "Test: hub/hub\n"))
        self.assertEqual((status, output), (0, "2 mutants, 0 do not fit the tree (judges were not looked up: build is not built)\n"))
        for text, words in ((patch("absent", "x"), "does not apply"), (patch("honest", "lie", ""), "must name one judge"),
                            (patch("honest", "lie", "Seed: soon\n"), "`Seed:` must be a number"),
                            (patch("honest", "lie", more="Breaks: it.\n"), "must say `Breaks:` and `Shows:`")):
            status, output = self.mutate("--check", odd=text)
            self.assertEqual(status, 1, output)
            self.assertIn(words, output)

    def test_check_of_judges_that_are_not_there(self):
        for judge, wrong in (("hub/hub", None), ("hub/none", "there is no test hub/none"), ("hub", "there is no test hub"),
                             ("sim/fleets", "a simulated fleet judges by `Seed: N`, not as the test sim/fleets"),
                             ("cli/main", "tests of cli are asked of no mutant"), ("broker/lease/postgres", None),
                             ("broker/lease/memory", "there is no test broker/lease/memory")):
            head = patch("honest", "lie", f"Test: {judge}\n")
            # Without a build nobody knows; the line says so.
            self.assertEqual(self.mutate("--check", odd=head), (0, "1 mutants, 0 do not fit the tree (judges were not looked up: build is not built)\n"))
            self.write("made/build.ninja", "")
            status, output = self.mutate("--check", "--build", "made", odd=head)
            self.assertEqual(status, 1 if wrong else 0, output)
            self.assertIn(f"test/mutants/odd.patch: {wrong}" if wrong else "1 mutants, 0 do not fit the tree\n", output)
            shutil.rmtree(os.path.join(self.tree, "made"))
        # Where some tests for Postgres are, all are.
        self.write("made/build.ninja", "")
        self.write("bin/meson", FILES["bin/meson"].replace("hub/hub", "broker/log/postgres"))
        status, output = self.mutate("--check", "--build", "made", odd=patch("honest", "lie", "Test: broker/lease/postgres\n"))
        self.assertIn("there is no test broker/lease/postgres", output)


if __name__ == "__main__":
    unittest.main()
