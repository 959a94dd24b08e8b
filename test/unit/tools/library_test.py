"""The library for programs in C: its header compiles alone, in C and C++; it exports what the header declares and nothing
else; docs/sennit.h.md shows every call, in programs that compile; and what is installed is enough to build one.

    library_test.py [BUILD]
"""
import os, re, subprocess, sys, tempfile, unittest

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
BUILD = os.path.abspath(sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else os.path.join(TOP, "build"))
LIBRARY = os.path.join(BUILD, "src/embed")
STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-I" + os.path.join(TOP, "include")]


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as file:
        return file.read()


def declared():
    text = read("include/sennit.h")
    return set(re.findall(r"^SENNIT_API [^;(]*?\b(sennit_\w+)\(", text, re.M))


def names(path, *flags):
    text = subprocess.run(["nm", "--defined-only", "--format=posix", *flags, path], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in text.splitlines()]
    return {row[0].split("@")[0] for row in rows if len(row) > 1 and row[1] in "TDBRVW"}


def is_sanitized():
    needed = subprocess.run(["readelf", "--dynamic", os.path.join(LIBRARY, "libsennit.so")], capture_output=True, text=True, check=True).stdout
    return "libasan" in needed


def compiled(text, arguments, compiler="cc", language="c"):
    return subprocess.run([compiler, "-x", language, "-c", "-", "-o", os.devnull, *arguments], input=text, text=True, capture_output=True)


class Library(unittest.TestCase):
    def test_the_header_alone(self):
        for compiler, language, standard in (("cc", "c", "c11"), ("cc", "c", "c17"), ("c++", "c++", "c++17")):
            done = compiled("#include <sennit.h>\n", [*STRICT, "-std=" + standard], compiler, language)
            self.assertEqual(done.returncode, 0, standard + done.stderr)
        self.assertNotEqual(compiled("#include <sennit.h>\nint x = sennit_run;\n", STRICT).returncode, 0)

    def test_what_is_exported(self):
        self.assertGreater(len(declared()), 50)
        self.assertEqual({name for name in names(os.path.join(LIBRARY, "libsennit.so"), "-D") if name != "SENNIT_0"}, declared())
        shown = {name for name in names(os.path.join(LIBRARY, "libsennit.a"), "-g") if not name.startswith(("__asan", "__odr"))}
        self.assertEqual(shown, declared())

    def test_the_reference(self):
        text = read("docs/sennit.h.md")
        programs = re.findall(r"```c\n(.*?)```", text, re.S)
        for program in programs:
            done = compiled(program, STRICT + ["-std=c11", "-Wno-unused-parameter"])
            self.assertEqual(done.returncode, 0, done.stderr + program)
        used = set(re.findall(r"\b(sennit_\w+)\(", "".join(programs)))
        self.assertEqual(declared() - used, set(), "calls without an example")

    def test_what_is_installed(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", folder], check=True, capture_output=True)
            found = {}
            for where, _, files in os.walk(folder):
                found.update((name, where) for name in files)
            for name in ("sennit", "sennit.h", "libsennit.a", "libsennit.so", "libsennit.so.0", "sennit.pc", "sennit.1", "sennit-serve.1", "sennit-up.1",
                         "sennit-load.1", "sennit.h.3", "_sennit"):
                self.assertIn(name, found)
            if os.path.exists(os.path.join(BUILD, "src/cli/sennit-untar")):
                self.assertTrue(found["sennit-untar"].endswith("libexec/sennit"), found["sennit-untar"])
            environment = {**os.environ, "PKG_CONFIG_PATH": found["sennit.pc"], "PKG_CONFIG_SYSROOT_DIR": folder}
            flags = subprocess.run(["pkg-config", "--cflags", "--libs", "sennit"], env=environment, capture_output=True, text=True, check=True).stdout.split()
            program = os.path.join(folder, "whiteboard")
            sanitized = ["-fsanitize=address,undefined"] if is_sanitized() else []
            done = subprocess.run(["cc", *sanitized, os.path.join(TOP, "examples/whiteboard/whiteboard.c"), *flags, "-o", program], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            told = subprocess.run([program, "--help"], env={**os.environ, "LD_LIBRARY_PATH": found["libsennit.so"]}, capture_output=True, text=True)
            self.assertIn("--redis-url", told.stdout)
            # The same with the static library, as docs/sennit.h.md has it: nothing but what `make install` asks for is needed.
            static = subprocess.run(["pkg-config", "--static", "--cflags", "--libs", "sennit"], env=environment, capture_output=True, text=True, check=True).stdout.split()
            static = [os.path.join(found["libsennit.a"], "libsennit.a") if flag == "-lsennit" else flag for flag in static]
            done = subprocess.run(["cc", *sanitized, os.path.join(TOP, "examples/whiteboard/whiteboard.c"), *static, "-o", program], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("--redis-url", subprocess.run([program, "--help"], capture_output=True, text=True).stdout)


if __name__ == "__main__":
    unittest.main()
