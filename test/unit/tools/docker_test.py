#!/usr/bin/env python3
"""The Dockerfiles of the examples and of `sennit new`, without a container: their packages are those that the build and the program need, and what they copy
is there.

    docker_test.py BUILD

The build stage has every library that tools/install installs. The last stage has the package of every library that BUILD/sennit
names (where dpkg can tell), and files for every path that its command and its configuration name.
"""
import os, re, shutil, subprocess, sys, unittest

top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
build = sys.argv.pop(1)
EXAMPLES = ("whiteboard", "chatroom")
TEMPLATE = "templates"  # what `sennit new` writes
# What tools/install knows and an image does without: Redis runs elsewhere, npm brings Node, and no image runs `sennit up`.
NOT_TO_BUILD = {"redis-server", "nodejs", "libarchive-dev"}


def read(*path):
    with open(os.path.join(top, *path)) as file:
        return file.read()


def stages(example):
    """The lines of each stage, with continued lines joined."""
    text = read(*(["examples", example] if example != TEMPLATE else [TEMPLATE]), "Dockerfile").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    starts = [at for at, line in enumerate(lines) if line.startswith("FROM ")] + [len(lines)]
    return [lines[a:b] for a, b in zip(starts, starts[1:])]


def packages(stage):
    """What apt-get install is given."""
    found = set()
    for line in stage:
        for part in line.removeprefix("RUN ").split("&&"):
            words = part.split()
            if words[:2] == ["apt-get", "install"]:
                found |= {word for word in words[2:] if not word.startswith("-")}
    return found


def installed_by_us():
    """What tools/install adds for `run`."""
    text = read("tools", "install")
    return set(re.findall(r"^(?:command_or|library_or) \S+ (\S+)", text, re.M)) | set(re.findall(r"^\[.*\] \|\| need (\S+)", text, re.M))


def soname_packages(program):
    """The Debian package of each library that the program names; None where dpkg does not know."""
    named = re.findall(r"\(NEEDED\).*\[(.+)\]", subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout)
    found = set()
    for soname in named:
        owner = subprocess.run(["dpkg", "-S", "*/" + soname], capture_output=True, text=True)
        if owner.returncode != 0:
            return None
        found.add(owner.stdout.split(":")[0])
    return found


class Dockerfiles(unittest.TestCase):
    def test_build_stage(self):
        wanted = installed_by_us() - NOT_TO_BUILD
        self.assertIn("libcjose-dev", wanted)  # the list was found
        for example in EXAMPLES + (TEMPLATE,):
            pages = set() if example != TEMPLATE else {"npm"}  # which bring the client library; a new service has none
            self.assertEqual(wanted - pages - packages(stages(example)[0]), set(), example)

    def test_every_library_of_meson_is_installed(self):
        """A library that meson.build asks for is one that tools/install knows by its pkg-config name."""
        asked = set(re.findall(r"dependency\('([^']+)'", read("meson.build")))
        known = set(re.findall(r"^library_or (\S+)", read("tools", "install"), re.M))
        self.assertEqual(asked - known - {"threads"}, set())

    def test_run_stage(self):
        if not shutil.which("dpkg") or not shutil.which("readelf"):
            self.skipTest("no dpkg, or no readelf")
        needed = soname_packages(os.path.join(build, "sennit"))
        if needed is None:
            self.skipTest("a library is not Debian's")
        self.assertTrue(any(name.startswith("libhiredis") for name in needed), needed)
        for example in EXAMPLES + (TEMPLATE,):
            self.assertEqual(needed - {"libc6", "libasan8", "libubsan1"} - packages(stages(example)[-1]), set(), example)

    def test_copies(self):
        for example in EXAMPLES:
            last, copied = stages(example)[-1], {}
            for line in last:
                if line.startswith("COPY ") and "--from" not in line:
                    source, target = line.split()[1:]
                    self.assertTrue(os.path.exists(os.path.join(top, source)), f"{example}: {source}")
                    copied[target] = os.path.join(top, source)
            here = lambda path: next((source + path[len(target):] for target, source in copied.items() if path == target or path.startswith(target + "/")), None)
            command = re.findall(r'"([^"]+)"', last[-1])
            config = command[command.index("--config") + 1]
            self.assertIsNotNone(here(config), config)
            static = re.search(r"^static: (\S+)", read(here(config)), re.M).group(1)
            pages = here(os.path.normpath(os.path.join(os.path.dirname(config), static)))
            self.assertIsNotNone(pages, f"{example}: the pages are not in the image")
            for name in os.listdir(pages):
                path = os.path.join(pages, name)
                self.assertTrue(os.path.exists(path), f"{path} leads nowhere")
                inside = any(os.path.realpath(path).startswith(os.path.realpath(source) + os.sep) for source in copied.values())
                self.assertTrue(inside, f"{path} leads out of what is copied")

    def test_the_template_copies_what_sennit_new_writes(self):
        """Its own files from the folder, and Sennit from the second context."""
        build_stage = [line.split()[1:-1] for line in stages(TEMPLATE)[0] if line.startswith("COPY ")]
        self.assertEqual(build_stage, [["--from=sennit", "."], ["meson.build", "@NAME@.c"]])
        self.assertIn("'@NAME@.c'", read(TEMPLATE, "meson.build"))

    def test_service_names_its_image(self):
        """An image is in an Artifact Registry, under the service's own name."""
        for example in EXAMPLES + ("node-hello",):
            text = read("examples", example, "service.yaml")
            name = re.search(r"^  name: (\S+)", text, re.M).group(1)
            self.assertEqual(re.findall(r"image: (\S+)", text), [f"LOCATION-docker.pkg.dev/PROJECT/sennit/{name}"])


unittest.main()
