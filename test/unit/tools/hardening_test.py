"""The release binary, as it would be installed: what its ELF file says of how hard a fault in it is to use.

    hardening_test.py [BUILD]

Builds src/cli/sennit in BUILD (build-release, which `make bench` uses too) with --buildtype=release: half a minute the
first time. Each check is also seen to fail, on a program that is compiled without what it looks for.
"""
import json, os, shutil, struct, subprocess, sys, tempfile, unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
BUILD = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else os.path.join(TOP, "build-release")

ET_DYN, EM_X86_64 = 3, 62
PT_LOAD, PT_DYNAMIC, PT_NOTE, PT_GNU_STACK, PT_GNU_RELRO = 1, 2, 4, 0x6474E551, 0x6474E552
PF_X, PF_W = 1, 2
DT_NEEDED, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_RPATH, DT_TEXTREL, DT_FLAGS, DT_RUNPATH, DT_FLAGS_1 = 1, 5, 6, 10, 15, 22, 30, 29, 0x6FFFFFFB
DF_TEXTREL, DF_BIND_NOW, DF_1_PIE = 4, 8, 0x08000000
ENDBR64 = b"\xf3\x0f\x1e\xfa"


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


class Elf:
    """A 64-bit little-endian ELF file, as far as the checks need it."""

    def __init__(self, path):
        self.data = read(path)
        assert self.data[:6] == b"\x7fELF\x02\x01", path
        self.type, self.machine = struct.unpack_from("<HH", self.data, 16)
        at, = struct.unpack_from("<Q", self.data, 32)
        size, count = struct.unpack_from("<HH", self.data, 54)
        self.segments = []  # type, flags, offset, address, bytes in the file
        for i in range(count):
            kind, flags, offset, address, _, length = struct.unpack_from("<IIQQQQ", self.data, at + i * size)
            self.segments.append((kind, flags, offset, address, length))
        self.dynamic = []
        for kind, _, offset, _, length in self.segments:
            if kind == PT_DYNAMIC:
                self.dynamic = [struct.unpack_from("<QQ", self.data, offset + i) for i in range(0, length, 16)]

    def value(self, tag, default=0):
        return next((value for key, value in self.dynamic if key == tag), default)

    def offset(self, address):
        return next(at + address - start for kind, _, at, start, length in self.segments
                    if kind == PT_LOAD and start <= address < start + length)

    def names(self):
        """Every name that the dynamic linker knows: functions of the C library among them."""
        at = self.offset(self.value(DT_STRTAB))
        return set(self.data[at:at + self.value(DT_STRSZ)].split(b"\0"))

    def code(self):
        return b"".join(self.data[at:at + length] for kind, flags, at, _, length in self.segments if kind == PT_LOAD and flags & PF_X)

    def properties(self):
        """GNU_PROPERTY_X86_FEATURE_1_AND: 1 IBT, 2 SHSTK."""
        for kind, _, offset, _, length in self.segments:
            end = offset + length
            while kind == PT_NOTE and offset + 16 <= end:
                name, size, note = struct.unpack_from("<III", self.data, offset)
                at = offset + 12 + (name + 3 & ~3)
                while note == 5 and size >= 8 and at < offset + 12 + (name + 3 & ~3) + size:
                    key, bytes_ = struct.unpack_from("<II", self.data, at)
                    if key == 0xC0000002:
                        return struct.unpack_from("<I", self.data, at + 8)[0]
                    at += 8 + (bytes_ + 7 & ~7)
                offset += 12 + (name + 3 & ~3) + (size + 7 & ~7)
        return 0


def weaknesses(elf):
    """In words; none for a program that is built as it should be."""
    found = []
    kinds = {kind: flags for kind, flags, *_ in elf.segments}
    names = elf.names()
    if elf.type != ET_DYN or not elf.value(DT_FLAGS_1) & DF_1_PIE:
        found.append("no PIE: its addresses are the same in every process")
    if PT_GNU_RELRO not in kinds or not elf.value(DT_FLAGS) & DF_BIND_NOW:
        found.append("no full RELRO: the table of functions can be written to")
    if kinds.get(PT_GNU_STACK, PF_X) & PF_X:
        found.append("the stack is executable")
    if any(kind == PT_LOAD and flags & PF_X and flags & PF_W for kind, flags, *_ in elf.segments):
        found.append("memory that is both written and executed")
    if elf.value(DT_FLAGS) & DF_TEXTREL or elf.value(DT_TEXTREL, None) is not None:
        found.append("text relocations")
    if elf.value(DT_RPATH) or elf.value(DT_RUNPATH):
        found.append("a path of its own for libraries")
    if b"__stack_chk_fail" not in names:
        found.append("no stack protector")
    if not any(name.endswith(b"_chk") for name in names):
        found.append("nothing is fortified")
    if b"__assert_fail" not in names:
        found.append("asserts are off")
    if elf.machine == EM_X86_64 and elf.code().count(ENDBR64) < 100:
        found.append("no CET: indirect calls land anywhere")
    if elf.machine == EM_X86_64 and not elf.properties() & 2:
        found.append("no CET: it does not ask for a shadow stack")
    return found


def run(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: {done.stdout[-3000:]}")


class Hardening(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.path.exists(os.path.join(BUILD, "build.ninja")):
            run("meson", "setup", BUILD, TOP, "--buildtype=release")

    def test_the_release_binary(self):
        run("ninja", "-C", BUILD, "--quiet", "src/cli/sennit")
        options = {one["name"]: one["value"] for one in json.loads(read(BUILD, "meson-info/intro-buildoptions.json"))}
        self.assertEqual(options["buildtype"], "release")
        self.assertEqual(weaknesses(Elf(os.path.join(BUILD, "src/cli/sennit"))), [])

    def test_every_file_is_compiled_so(self):
        """What leaves no trace in the binary, or is there once for many files."""
        run("ninja", "-C", BUILD, "--quiet", "build.ninja")
        commands = [one["command"] for one in json.loads(read(BUILD, "compile_commands.json"))
                    if os.path.abspath(os.path.join(BUILD, one["file"])).startswith(os.path.abspath(TOP) + "/src/")]
        self.assertGreater(len(commands), 80)
        for command in commands:
            for flag in ("-fstack-clash-protection", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=", "-O3", "-fPI"):
                self.assertIn(flag, command)
            self.assertNotIn("-DNDEBUG", command)

    def test_each_weakness_is_seen(self):
        """A small program, compiled without any of it. What it lacks by being small is no news."""
        compiler = shutil.which("gcc") or shutil.which("cc")
        with tempfile.TemporaryDirectory() as folder:
            source, program = os.path.join(folder, "weak.c"), os.path.join(folder, "weak")
            with open(source, "w", encoding="utf-8") as file:
                file.write("#include <stdio.h>\nint main(int count, char **words) { char text[64]; return sprintf(text, \"%s\", words[0]) + count; }\n")
            run(compiler, source, "-o", program, "-O0", "-no-pie", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-Wl,-z,norelro", "-Wl,-z,lazy",
                "-Wl,-z,execstack", "-Wl,-rpath,/nowhere")
            found = " / ".join(weaknesses(Elf(program)))
        for word in ("no PIE", "no full RELRO", "the stack is executable", "a path of its own", "no stack protector", "nothing is fortified",
                     "asserts are off", *(["indirect calls", "shadow stack"] if os.uname().machine == "x86_64" else [])):
            self.assertIn(word, found)


if __name__ == "__main__":
    unittest.main()
