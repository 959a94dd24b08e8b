"""docs/configuration.md and docs/refusals.md: they are what the program says of itself, and what its readers take.

    manual_test.py [BUILD]

The program is asked with files that are wrong on purpose: an unknown field makes it list those that it knows, and a
list in place of a number makes it name the range.
"""
import os, re, subprocess, sys, tempfile, unittest

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
BUILD = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else os.path.join(TOP, "build")
SENNIT = os.path.join(BUILD, "src/cli/sennit")
# Keys that the user chooses, and what a rule needs for its other fields to be looked at.
CHOSEN = {"NAMESPACE": "/", "PATTERN": '"a-*"', "EVENT": "say"}
BESIDE = {"room": "to: room", "socket": "to: socket", "except": "to: others",
          "timeout": "to: socket, socket: 0, ack: receiver"}


def commands():
    """The commands that `sennit --help` lists."""
    text = subprocess.run([SENNIT, "--help"], stdout=subprocess.PIPE, text=True, timeout=20, check=True).stdout
    return re.findall(r"^  sennit (\S+)", text, re.M)


def said(*args):
    return subprocess.run([SENNIT, "serve", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20,
                          env={"PATH": os.environ["PATH"]})


def error_of(yaml):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(yaml)
        file.flush()
        done = said("--config", file.name, "--port", "0", "--broker", "memory")
    assert done.returncode == 1, (yaml, done.stdout)
    return done.stdout


def file_with(place, field):
    """A file whose one field at `place` ("namespaces.NAMESPACE.log") is `field`."""
    keys = [CHOSEN.get(key, key) for key in place.split(".")] if place else []
    text = field
    for depth in range(len(keys), 0, -1):
        beside = ""
        if depth == 2 and keys[0] == "namespaces" and not (len(keys) > 2 and keys[2] == "events") and not text.startswith("events:"):
            beside = ", events: {}"
        text = f"{keys[depth - 1]}: {{{text}{beside}}}"
    if not keys or keys[0] != "namespaces":
        text += ", namespaces: {/: {events: {}}}" if not text.startswith("namespaces:") else ""
    return "{" + text + "}"


def page(name):
    with open(os.path.join(TOP, "docs", name), encoding="utf-8") as file:
        return file.read()


def tables(text):
    """The rows of each heading's table, as lists of cells."""
    found, at = {}, None
    for line in text.splitlines():
        if line.startswith("## "):
            at = line[3:].replace("`", "")
            found[at] = []
        elif line.startswith("| ") and at is not None:
            found[at].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return {heading: rows[1:] for heading, rows in found.items()}


CONFIGURATION = tables(page("configuration.md"))
TOP_TABLE, TOP_BOUNDS = "Fields of the file, beside its bounds", "Bounds that are fields of the file"
FLAGS = "Flags and variables"


def places():
    for heading, rows in CONFIGURATION.items():
        if heading not in (FLAGS, TOP_BOUNDS):
            yield ("" if heading == TOP_TABLE else heading), rows + (CONFIGURATION[TOP_BOUNDS] if heading == TOP_TABLE else [])


def name_of(row):
    return row[0].strip("`")


class Manual(unittest.TestCase):
    def test_pages_are_what_the_program_prints(self):
        for name, flag in (("configuration.md", "--describe"), ("refusals.md", "--describe=refusals")):
            self.assertEqual(page(name), said(flag).stdout,
                             f"docs/{name} is out of date: build/sennit serve {flag} >docs/{name}")

    def test_every_field_that_the_readers_know(self):
        for place, rows in places():
            if place == "limits":
                continue  # its table is the reader's own
            error = error_of(file_with(place, "zzzzzzzzzzzzzzzz: 1"))
            match = re.search(r"the fields here are: (.*)$", error, re.M)
            self.assertIsNotNone(match, (place, error))
            self.assertEqual(sorted(match.group(1).split(", ")), sorted(map(name_of, rows)), place)

    def test_every_mapping_has_its_table(self):
        known = dict(places())
        for place, rows in list(known.items()):
            for row in rows:
                if row[2].startswith("a mapping") and place != "namespaces.NAMESPACE.rooms.PATTERN":
                    path = f"{place}.{name_of(row)}" if place else name_of(row)
                    self.assertTrue(any(other == path or other.startswith(path + ".") or other.startswith(path.replace(".events.EVENT", ""))
                                        for other in known), path)

    def test_ranges_are_those_of_the_readers(self):
        checked, bounds = 0, CONFIGURATION[TOP_BOUNDS] + CONFIGURATION["limits"]
        for place, rows in places():
            for row in rows:
                stated = row[3] if row in bounds else row[2]
                if not re.fullmatch(r"\d\S*( bytes)? to \d\S*", stated):
                    continue
                field = f"{name_of(row)}: []"
                if place.endswith(".EVENT") and name_of(row) in BESIDE:
                    field = BESIDE[name_of(row)] + ", " + field
                error = error_of(file_with(place, field))
                match = re.search(r"expected a .*? from (.*?) (?:\(like|to (\d\S*), found)", error)
                self.assertIsNotNone(match, (place, row[0], error))
                real = match.group(1) if match.group(2) is None else f"{match.group(1)} to {match.group(2)}"
                self.assertEqual(real.replace(" bytes", ""), stated.replace(" bytes", ""), (place, row[0]))
                checked += 1
        self.assertGreater(checked, 50)

    def test_every_flag_and_variable(self):
        rows = CONFIGURATION[FLAGS]
        flags = {name_of(row) for row in rows} - {""}
        self.assertEqual(set(re.findall(r"^ +(?:-\w, )?(--[\w-]+)", said("--help").stdout, re.M)) - {"--help", "--usage"}, flags)
        variables = {row[1].strip("`") for row in rows} - {""}
        used = set()
        for layer in ("serve", "embed", "cli"):
            folder = os.path.join(TOP, "src", layer)
            for name in os.listdir(folder):
                if name.endswith(".c") and name not in ("cmd_up.c", "cmd_load.c"):
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        used |= set(re.findall(r'(?:environment|getenv)\("(\w+)"\)', file.read()))
        self.assertEqual(used, variables)

    def test_every_command_is_completed_and_in_the_manual_page(self):
        """Those of `sennit --help`, and no other: in sennit(1), in the completion of bash (which is run), and in that of zsh."""
        wanted = set(commands())
        self.assertIn("serve", wanted)
        path = lambda name: os.path.join(TOP, "tools/completion", name)
        script = f'. {path("sennit.bash")}; COMP_WORDS=(sennit ""); COMP_CWORD=1; _sennit; echo "${{COMPREPLY[@]}}"'
        completed = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        self.assertEqual({word for word in completed if not word.startswith("-")}, wanted | {"help"})
        with open(path("_sennit"), encoding="utf-8") as file:
            words = re.search(r"commands=\((.*)\)", file.read()).group(1).split()
        self.assertEqual(set(words), wanted)
        items = re.findall(r"^\.It Cm (.*)", page("man/sennit.1"), re.M)
        self.assertEqual(set(re.findall(r"\b[a-z]+\b", " ".join(items))), wanted)

    def test_help_is_given_and_a_mistyped_command_is_guessed(self):
        run = lambda *args: subprocess.run([SENNIT, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
        for command in commands():
            asked, helped = run(command, "--help"), run("help", command)
            self.assertEqual((asked.returncode, helped.returncode, asked.stdout), (0, 0, helped.stdout), command)
            self.assertRegex(asked.stdout, rf"^Usage: sennit {command}\b")
        for typed, meant in (("serv", "serve"), ("upp", "up"), ("lod", "load"), ("deplyo", "deploy"), ("service", "services"), ("log", "logs")):
            done = run(typed)
            self.assertEqual((done.returncode, done.stdout), (2, ""), typed)
            self.assertIn(f'there is no command "{typed}"; did you mean "{meant}"?', done.stderr)
        for typed in ("frobnicate", "x", "-v", "redis://:secret@host"):
            done = run(typed)
            self.assertEqual(done.returncode, 2)
            self.assertNotIn("did you mean", done.stderr)
            self.assertNotIn("secret", done.stderr)
            self.assertIn("sennit serve", done.stderr)

    def test_every_option_is_completed(self):
        """In bash, for each command: what its --help lists, and no word of a sentence."""
        path = os.path.join(TOP, "tools/completion/sennit.bash")
        for command in commands():
            script = f'. {path}; COMP_WORDS=({SENNIT} {command} --); COMP_CWORD=2; _sennit; echo "${{COMPREPLY[@]}}"'
            completed = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
            text = subprocess.run([SENNIT, command, "--help"], stdout=subprocess.PIPE, text=True, timeout=20, check=True).stdout
            self.assertEqual(sorted(completed), sorted(set(re.findall(r"^ +(?:-[\w?], )?(--[a-z][a-z-]*)", text, re.M))), command)

    def test_what_counts_is_counted(self):
        reasons = {name_of(row) for rows in tables(page("refusals.md")).values() for row in rows}
        with open(os.path.join(TOP, "src/serve/metrics.c"), encoding="utf-8") as file:
            metrics = {"sennit_" + name for name in re.findall(r'(?:counter|gauge)\(to, "(\w+)"', file.read())}
        bounds = CONFIGURATION[TOP_BOUNDS] + CONFIGURATION["limits"]
        for row in bounds:
            names = re.findall(r"`(\w+)`", " ".join(re.findall(r"\(([^()]*)\)", row[4])))
            self.assertTrue(row[0] == "`ping_interval`" or names, row)
            self.assertTrue(any(name in reasons | metrics for name in names) or row[0] == "`ping_interval`", row)
        for place, rows in places():
            for row in rows:
                if row not in bounds:
                    for name in re.findall(r"`(\w+)`", row[4]):
                        self.assertIn(name, reasons | metrics, (place, row[0]))

    def test_every_reason_that_is_logged_names_its_cure(self):
        for rows in tables(page("refusals.md")).values():
            for row in rows:
                if row[-2] != "debug":
                    self.assertRegex(row[-1], r"[:;] \S", row)

    def test_every_refusal_names_a_field_that_exists(self):
        """Words like `limits: rooms` in a cure are fields of the configuration."""
        limits = {name_of(row) for row in CONFIGURATION["limits"]}
        fields = {name_of(row) for _, rows in places() for row in rows} | {name_of(row) for row in CONFIGURATION[TOP_BOUNDS]}
        for rows in tables(page("refusals.md")).values():
            for row in rows:
                for name in re.findall(r"`limits: (\w+)`", row[-1]):
                    self.assertIn(name, limits, row)
                for name in re.findall(r"`(\w+):", row[-1]):
                    self.assertIn(name, fields, row)


if __name__ == "__main__":
    unittest.main()
