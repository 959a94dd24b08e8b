"""tidy's rules, each seen to fire on a small bad tree, and none on a good one."""
import os, subprocess, sys, tempfile, unittest

TIDY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tools/tidy.py")
GOOD = "/* thing: what it is. */\n#include \"base/thing.h\"\n\nint thing(void)\n{\n    return 1;\n}\n"
PICTURE = "/* thing: what it is.\n *\n * THING_MOVES:\n *\n *     NEW --begin--> BUSY --rest--> IDLE --begin--> BUSY\n *     (any) --close, or cut--> OVER\n */\n"
MOVES = (GOOD.replace("/* thing: what it is. */\n", PICTURE) + "\n#define THING_MOVES(MOVE) \\\n    MOVE(THING_NEW, THING_BUSY) \\\n    MOVE(THING_BUSY, THING_IDLE) \\\n"
         "    MOVE(THING_IDLE, THING_BUSY) \\\n    MOVE(THING_NEW, THING_OVER) MOVE(THING_BUSY, THING_OVER) \\\n    MOVE(THING_IDLE, THING_OVER)\n")
USER = "/* user: calls it. */\n#include \"base/thing.h\"\n\nstatic int use(void)\n{\n    return thing();\n}\n"
HEADER = "/* thing: what it is. */\n#ifndef SENNIT_BASE_THING_H\n#define SENNIT_BASE_THING_H\n\nint thing(void);\n\n#endif\n"


def tidy(files):
    with tempfile.TemporaryDirectory() as root:
        tree = {"src/base/thing.c": GOOD, "src/base/thing.h": HEADER, "src/base/user.c": USER,
                "src/base/meson.build": "files('thing.c', 'user.c')\n", "test/unit/base/test_thing.c": "int main(void);\n", **files}
        if "src/loop/thing.c" in files:
            tree["test/unit/loop/test_thing.c"] = "int main(void);\n"
        for path, text in tree.items():
            path = os.path.join(root, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        done = subprocess.run([sys.executable, TIDY, root], capture_output=True, text=True)
        return done.returncode, done.stdout


class Tidy(unittest.TestCase):
    def fires(self, rule, files):
        status, output = tidy(files)
        self.assertEqual(status, 1, output)
        self.assertIn(f": {rule}: ", output)

    def test_a_good_tree_passes(self):
        self.assertEqual(tidy({})[0], 0, tidy({})[1])

    def test_layers(self):
        self.fires("layer", {"src/base/thing.c": GOOD.replace("base/thing.h", "hub/hub.h")})
        net = GOOD.replace("base/thing.h", "serve/serve.h").replace("thing", "front")
        self.fires("layer", {"src/platform/front.c": net, "src/platform/meson.build": "files('front.c')\n"})
        load = GOOD.replace("base/thing.h", "hub/hub.h").replace("thing", "crowd")
        self.fires("layer", {"src/load/crowd.c": load, "src/load/meson.build": "files('crowd.c')\n"})

    def test_parts_stay_in_their_layer(self):
        parts = HEADER.replace("THING", "THING_PARTS").replace("/* thing", "/* thing_parts")
        inside = GOOD.replace("base/thing.h\"", "base/thing.h\"\n#include \"base/thing_parts.h\"")
        self.assertEqual(tidy({"src/base/thing.c": inside, "src/base/thing_parts.h": parts})[0], 0)
        self.fires("parts", {"src/base/thing.c": inside, "src/base/thing_parts.h": parts, "src/hub/front.c":
                             inside.replace("thing:", "front:"), "src/hub/meson.build": "files('front.c')\n"})

    def test_states(self):
        self.assertEqual(tidy({"src/base/thing.c": MOVES})[0], 0, tidy({"src/base/thing.c": MOVES})[1])
        for old, new in (("IDLE --begin--> BUSY\n", "IDLE\n"), ("BUSY --rest--> IDLE", "BUSY --rest--> OVER"),
                         ("    MOVE(THING_BUSY, THING_IDLE) \\\n", ""), ("MOVE(THING_BUSY, THING_OVER)", "MOVE(THING_OVER, THING_NEW)"),
                         (" * THING_MOVES:\n", " *\n"), ("#define THING_MOVES", "#define THING_MOVE")):
            self.assertIn(old, MOVES)
            self.fires("states", {"src/base/thing.c": MOVES.replace(old, new, 1)})
        several = MOVES.replace("NEW --begin--> BUSY --rest--> IDLE --begin--> BUSY", "NEW, IDLE --begin--> BUSY --rest--> IDLE")
        self.assertEqual(tidy({"src/base/thing.c": several})[0], 0, tidy({"src/base/thing.c": several})[1])

    def test_include_form(self):
        self.fires("include", {"src/base/thing.c": GOOD.replace("base/thing.h", "thing.h")})

    def test_outside(self):
        for call in ("time(NULL)", "write(1, \"x\", 1)", "fork()", "random()"):
            self.fires("outside", {"src/base/thing.c": GOOD.replace("return 1;", f"return (int){call};")})

    def test_outside_is_fine_in_loop_in_comments_and_as_members(self):
        loop = GOOD.replace("base/thing.h", "loop/thing.h").replace("return 1;", "return fork();")
        self.assertEqual(tidy({"src/loop/thing.c": loop, "src/loop/meson.build": "files('thing.c')\n",
                               "src/loop/thing.h": HEADER.replace("BASE", "LOOP")})[0], 0)
        calm = GOOD.replace("return 1;", "return ops->read(1); /* fork() */")
        self.assertEqual(tidy({"src/base/thing.c": calm})[0], 0)

    def test_lengths(self):
        self.fires("length", {"src/base/thing.c": GOOD.replace("    return 1;\n", "    ;\n" * 80 + "    return 1;\n")})
        self.fires("length", {"src/base/thing.c": GOOD + "\n" * 700})

    def test_lengths_of_tests(self):
        for path in ("test/unit/base/test_thing.c", "test/sim/long.c", "test/fuzz/long.c", "bench/long.c"):
            self.fires("length", {path: "void f(void)\n{\n" + "    ;\n" * 80 + "}\n"})
            self.fires("length", {path: "int a;\n" * 700})

    def test_process_wide_calls(self):
        for call in ("umask(0)", "setenv(a, b, 1)", "pthread_sigmask(0, a, b)", "process_signals_set()", "atexit(f)"):
            self.fires("process", {"src/base/thing.c": GOOD.replace("return 1;", f"{call};\n    return 1;")})
        self.assertEqual(tidy({"src/base/thing.c": GOOD.replace("return 1;", "return ops->umask(0); /* umask(0) */")})[0], 0)

    def test_state(self):
        for inside in ("static int count;", "static struct thing thing = {0};", "static const char *name;", "static const char *names[2];"):
            self.fires("state", {"src/base/thing.c": GOOD.replace("return 1;", f"{inside}\n    return 1;")})
        for top in ("static int count;", "int count = 1;", "struct thing thing;", "static struct {\n    int count;\n} all;", "size_t bytes;"):
            self.fires("state", {"src/base/thing.c": GOOD.replace("int thing(void)", f"{top}\n\nint thing(void)")})
        for fine in ("static const int one = 1;", "static const char *const names[] = {0};", "struct thing;", "enum { ONE = 1 };",
                     "extern const int two;", "static int other(void);", "static const struct {\n    int a;\n} pairs[] = {{1}};",
                     "typedef int number;"):
            status, output = tidy({"src/base/thing.c": GOOD.replace("int thing(void)", f"{fine}\n\nint thing(void)")})
            self.assertEqual(status, 0, f"{fine}: {output}")

    def test_keywords_of_another_language(self):
        self.fires("keyword", {"src/base/thing.h": HEADER.replace("thing(void)", "thing(int class)")})
        self.assertEqual(tidy({"src/base/thing.h": HEADER.replace("int thing", "/* new, this, class */\nint thing")})[0], 0)

    def test_functions_that_only_tests_call(self):
        self.fires("unused", {"src/base/thing.h": HEADER.replace("int thing(void);", "int thing(void);\nint nothing(void);")})
        self.fires("unused", {"src/base/user.c": USER.replace("thing()", "1")})

    def test_a_layer_without_unit_tests(self):
        self.fires("untested", {"test/unit/base/test_thing.c": "", "src/wire/thing.c": GOOD.replace("base/thing.h", "wire/thing.h"),
                                "src/wire/meson.build": "files('thing.c')\n"})

    def test_head_and_guard(self):
        self.fires("head", {"src/base/thing.c": GOOD.replace("/* thing:", "/* other:")})
        self.fires("guard", {"src/base/thing.h": HEADER.replace("SENNIT_BASE", "BASE")})

    def test_names_and_dead_files(self):
        self.fires("name", {"src/base/util.c": GOOD.replace("/* thing", "/* util"), "src/base/meson.build": "files('thing.c', 'user.c', 'util.c')\n"})
        self.fires("dead", {"src/base/meson.build": "files()\n"})
        self.fires("dead", {"src/base/lonely.h": HEADER.replace("THING", "LONELY").replace("/* thing", "/* lonely")})

    def test_spans(self):
        for call in ("strlen(name.data)", "strcmp(pattern, name->data)", "strstr(buf_span(&text).data, \"x\")", "span_str(name.data).len",
                     "buf_printf(to, \"%s\", name.data)", "err_set(err, \"a %d %-12s\", 1, node->text.data)",
                     "printf(\"%.*s %s\", SPAN_ARG(name), name.data)"):
            self.fires("span", {"src/base/thing.c": GOOD.replace("return 1;", f"return (int){call};")})
        for fine in ("printf(\"%.*s\", SPAN_ARG(buf_span(&text)))", "buf_printf(to, \"%s\", text.data[0] == '/' ? \"\" : \"/\"), text.len",
                     "memcmp(a.data, b.data, a.len)", "strlen(name)", "err_set(err, \"%.*s\", (int)text.len, text.data)"):
            status, output = tidy({"src/base/thing.c": GOOD.replace("return 1;", f"return {fine};")})
            self.assertEqual(status, 0, f"{fine}: {output}")

    def test_bounds(self):
        self.fires("bound", {"src/base/thing.c": GOOD.replace("return 1;", "return name.data[0];")})
        for fine in ("return name.len > 0 && name.data[0];", "if (name->len == 0)\n        return 0;\n    return name->data[0];"):
            self.assertEqual(tidy({"src/base/thing.c": GOOD.replace("return 1;", fine)})[0], 0)

    def test_text(self):
        self.fires("space", {"src/base/thing.c": GOOD.replace("    return", "\treturn")})
        self.fires("unfinished", {"src/base/thing.c": GOOD.replace("return 1;", "return 1; /* TO" + "DO */")})


if __name__ == "__main__":
    unittest.main()
