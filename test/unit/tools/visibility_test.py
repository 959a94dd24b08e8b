"""The static libraries of src/: every function and every object in them is hidden, so that a program or a shared library
that takes them in exports none of them, but for what include/sennit.h declares (library_test.py).

    visibility_test.py [BUILD]
"""
import glob, os, re, subprocess, sys, tempfile, unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
BUILD = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else os.path.join(TOP, "build")
SYMBOL = re.compile(r"^\s*\d+: [0-9a-f]+\s+\S+\s+(?:FUNC|OBJECT|TLS)\s+(?:GLOBAL|WEAK)\s+(\w+)\s+\d+ (\S+)$", re.M)


def symbols(path):
    """The visibility of each global symbol that the objects in `path` define, by name; without those of the sanitizers."""
    text = subprocess.run(["readelf", "--wide", "--symbols", path], capture_output=True, text=True, check=True).stdout
    return {name: visibility for visibility, name in SYMBOL.findall(text) if not name.startswith("__")}


class Visibility(unittest.TestCase):
    def test_the_libraries(self):
        libraries = glob.glob(os.path.join(BUILD, "src/*/lib*.a"))
        self.assertGreater(len(libraries), 5, f"{BUILD} is not built")
        count = 0
        for path in libraries:
            found = symbols(path)
            count += len(found)
            shown = [name for name, visibility in found.items() if visibility not in ("HIDDEN", "INTERNAL") and not name.startswith("sennit_")]
            self.assertEqual(shown, [], f"{os.path.basename(path)} exports these")
        self.assertGreater(count, 500)

    def test_no_library_has_a_function_of_the_same_name(self):
        """Linked statically, a library would call ours in place of its own."""
        program = os.path.join(BUILD, "src/cli/sennit")
        linked = re.findall(r"=> (/\S+)", subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout)
        theirs = {}
        for path in linked:
            if re.search(r"/lib(c|m|asan|ubsan|gcc_s)\.so", path):
                continue
            names = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", path], capture_output=True, text=True, check=True).stdout
            theirs.update((line.split()[0].split("@")[0], os.path.basename(path)) for line in names.splitlines())
        self.assertIn("json_object_get", theirs, "jansson is linked, and nm lists what it has")
        ours = {name for path in glob.glob(os.path.join(BUILD, "src/*/lib*.a")) for name in symbols(path)}
        self.assertEqual({name: theirs[name] for name in ours & theirs.keys()}, {})

    def test_it_can_fail(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "shown.o")
            subprocess.run([os.environ.get("CC", "cc"), "-c", "-x", "c", "-", "-o", path], check=True, text=True,
                           input="int shown;\nint shown_too(void) { return shown; }\n")
            self.assertEqual(symbols(path), {"shown": "DEFAULT", "shown_too": "DEFAULT"})


if __name__ == "__main__":
    unittest.main()
