#!/usr/bin/env python3
"""The tree's own rules, as a test: which layer may include which, which file may call the outside, how long files and functions may be.

    tools/tidy.py [ROOT]

Prints `file:line: rule: message` for each breach, and exits with 1 when there is one.
"""
import os, re, sys

ROOT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), ".."))

# A layer may include itself and the layers listed here.
ORDER = ["base", "wire", "loop", "net", "http", "broker", "hub", "session", "app", "bridge", "serve", "embed"]
MAY = {layer: set(ORDER[: at + 1]) for at, layer in enumerate(ORDER)}
MAY["untar"] = {"base", "wire", "loop", "untar"}
MAY["platform"] = {"base", "wire", "loop", "net", "http", "platform"}
MAY["load"] = {"base", "wire", "loop", "net", "load"}
MAY["cli"] = set(ORDER) | {"platform", "load", "cli"}

FILE_LINES, FUNCTION_LINES = 600, 70
# Calls that reach outside: only through loop/ (and the log, which writes lines).
OUTSIDE = re.compile(
    r"(?<![\w.>])(time|clock_gettime|gettimeofday|clock|random|rand|srand|getrandom|getentropy|socket|accept4?|bind|listen|connect|"
    r"open|openat|read|write|readv|writev|recv|send|recvfrom|sendto|recvmsg|sendmsg|close|pipe2?|dup2?|fork|vfork|exec[lv]\w*|posix_spawnp?|"
    r"kill|waitpid|signal|sigaction|epoll_\w+|poll|select|usleep|sleep|nanosleep|fopen|unlink|mkdir|chdir|stat|lstat|getaddrinfo)\s*\(")
BAD_NAMES = {"util", "utils", "common", "misc", "helper", "helpers"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")
STRANGERS = re.compile(r"registry\.npm" + r"js|deb\.deb" + r"ian|/wo" + r"rk/|/fa" + r"rm/")

# A span has no end but its length: no function that looks for a NUL may see its bytes.
STRING_CALL = re.compile(r"(?<![\w.>])(strlen|strn?cmp|strn?casecmp|strr?chr|str(?:case)?str|strc?spn|strpbrk|strto\w+|ato[ifl]+|sscanf|strn?dup|"
                         r"strn?cpy|strn?cat|f?puts|span_str)\s*\(")
PRINT_CALL = re.compile(r"(?<![\w.>])(\w*printf|err_set|err_prefix|yaml_error|build_error|progress_say|run_abort|argp_error)\s*\(")
SPAN_BYTES = re.compile(r"(?:\.|->)data\b(?!\s*[\[.(]|->)")
BARE_STRING = re.compile(r"%-?\d*s")
INDEX = re.compile(r"(?:\.|->)data\s*\[")
BOUND_LINES = 20  # within which an index into a span shows why it is inside

# The life of an object: a table `#define THING_MOVES(MOVE)` with rows `MOVE(THING_A, THING_B)`, and a picture of it in the
# comment that has the line `THING_MOVES:`, with lines `A, B --event--> C --event--> D`. `(any)` is every other state.
MOVES_TABLE = re.compile(r"^#define (\w+_)MOVES\(\w+\)((?:.*\\\n)*.*)$", re.M)
MOVES_ROW = re.compile(r"\b\w+\((\w+),\s*(\w+)\)")
MOVES_PICTURE = re.compile(r"^ \*.*?\b([A-Z]\w*_)MOVES:\n((?: \*.*\n)*)", re.M)
MOVES_ARROW = re.compile(r"\s*--[^>]*-->\s*")
# Nothing process-wide happens without being asked for. Calls that change the whole process, and the files that may make
# them: those that a program of ours asks, and those that run a whole command.
PROCESS = {
    r"signal|sigaction|sigprocmask|pthread_sigmask|waitpid|waitid|wait[34]?|umask|chdir|fchdir|setlocale|setrlimit|prctl|setenv|unsetenv|"
    r"putenv|clearenv|atexit|on_exit|set(?:e|re|res)?[ug]id|initgroups|setsid|setpgid|tzset|mallopt|mlockall|OPENSSL_init_\w+|"
    r"OPENSSL_cleanup": {"loop/child.c", "loop/confine.c", "loop/filter.c", "loop/mounts_enter.c", "loop/process.c", "loop/signals.c", "loop/worker.c"},
    r"pthread_(?!sigmask)\w+|thrd_\w+|mtx_\w+": {"loop/worker.c"},
    r"process_signals_set": {"loop/process.c", "cli/main.c", "embed/server.c"},
    r"process_files_allow": {"loop/process.c", "cli/cmd_serve.c", "cli/cmd_up.c", "embed/server.c", "platform/up.c", "load/load.c"},
    r"process_user_become": {"loop/process.c", "platform/up.c"},
    r"signal_watch_start": {"loop/signals.c", "serve/serve.c", "platform/up.c", "load/load.c", "cli/deploy_host.c"},
    r"log_init": {"base/log.c", "embed/log_options.c", "embed/log_sink.c", "cli/cmd_load.c"},
}
# Files that may have variables which outlive a call: the log, the counters of memory, and a thread's table of handles. All other state belongs to an
# object that its owner creates.
STATE = {"base/log.c", "base/mem.c", "base/frame.c", "embed/handle.c", "embed/log_sink.c"}
# Words of C++ that are names in C; a header that has one cannot be included there.
KEYWORDS = set(
    "and and_eq asm bitand bitor catch char8_t char16_t char32_t class co_await co_return co_yield compl concept consteval constexpr constinit "
    "const_cast decltype delete dynamic_cast explicit export friend mutable namespace new noexcept not not_eq nullptr operator or or_eq private "
    "protected public reinterpret_cast requires static_cast template this thread_local throw try typeid typename using virtual wchar_t xor "
    "xor_eq".split())
# Functions of src for which the tests are the callers: the HTTP server's answers of unknown length, which no route has yet.
TESTED_ALONE = {"http_stream_begin"}
# A layer that end-to-end tests drive alone: each of its files is one command, which parses arguments and prints.
NO_UNIT_TESTS = {"cli"}

breaches = []


def breach(path, line, rule, message):
    breaches.append(f"{os.path.relpath(path, ROOT)}:{line}: {rule}: {message}")


def sources(folder, endings):
    for where, folders, names in os.walk(os.path.join(ROOT, folder)):
        folders[:] = [name for name in folders if name not in ("node_modules", "corpus", "__pycache__") and not name.startswith("build")]
        for name in sorted(names):
            if name.endswith(endings):
                yield os.path.join(where, name)


def without_comments_and_strings(text):
    """The same number of lines, with comments and strings blanked out."""
    blank = lambda match: re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def picture_moves(prefix, lines, states):
    """The moves that a picture shows, each with the state names of the table."""
    moves = set()
    for line in lines:
        parts = MOVES_ARROW.split(re.sub(r"^ \*\s*", "", line).strip())
        sides = [{prefix + name.strip() for name in part.split(",")} for part in parts]
        for befores, afters in zip(sides, sides[1:]):
            for after in afters:
                among = states if befores == {prefix + "(any)"} else befores
                moves |= {(before, after) for before in among if before != after or among is befores}
    return moves


def check_states(files):
    """A layer's tables of legal moves against their pictures."""
    tables, pictures = {}, {}
    for path, text in files:
        for match in MOVES_TABLE.finditer(text):
            where = (path, text.count("\n", 0, match.start()) + 1)
            tables[match.group(1)] = (where, set(MOVES_ROW.findall(match.group(2))))
        for match in MOVES_PICTURE.finditer(text):
            where = (path, text.count("\n", 0, match.start()) + 1)
            pictures[match.group(1)] = (where, [line for line in match.group(2).split("\n") if "-->" in line])
    for prefix in sorted(set(tables) | set(pictures)):
        if prefix not in pictures:
            breach(*tables[prefix][0], "states", f'no comment has the picture, which begins behind "{prefix}MOVES:"')
        elif prefix not in tables:
            breach(*pictures[prefix][0], "states", f"{prefix}MOVES is no table of this layer")
        else:
            where, legal = tables[prefix]
            shown = picture_moves(prefix, pictures[prefix][1], {state for move in legal for state in move})
            for before, after in sorted(shown - legal):
                breach(*pictures[prefix][0], "states", f"the picture shows {before} -> {after}, which the table lacks")
            for before, after in sorted(legal - shown):
                breach(*where, "states", f"the table has {before} -> {after}, which the picture lacks")


def check_includes(path, text, layer):
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not match:
            continue
        other = match.group(1).split("/")[0]
        if match.group(1).endswith("_parts.h") and other != layer:
            breach(path, number, "parts", f"{match.group(1)} is for src/{other} only")
        if "/" not in match.group(1):
            if match.group(1) not in ("broker_scripts.h", "broker_sql.h", "cli_templates.h", "prices_table.h"):  # made by the build
                breach(path, number, "include", f'"{match.group(1)}" is not of the form "layer/file.h"')
        elif other not in MAY[layer]:
            breach(path, number, "layer", f"{layer} must not include {other}")


def check_outside(path, code, layer):
    if layer == "loop" or path.endswith("src/base/log.c"):
        return
    for number, line in enumerate(code.split("\n"), 1):
        match = OUTSIDE.search(line)
        # A declaration of ours with such a name, or a member of a table, is no call.
        if match and not re.match(r"\s*(static|void|bool|int|size_t|struct|enum|const|uint\w+)\b[^=;]*\b" + match.group(1) + r"\s*\(", line) \
                and match.group(1) not in own_functions(code):
            breach(path, number, "outside", f"{match.group(1)}() belongs behind src/loop")


# What carries a session is known to these files alone, so that another transport is an addition.
CARRIER, CARRIED_BY = {"net/conn.h", "net/listener.h", "wire/ws.h"}, ("src/session/websocket.c", "src/session/compression.c")


def check_transport(path, text, layer):
    if layer != "session" or path.endswith(CARRIED_BY):
        return
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if match and match.group(1) in CARRIER:
            breach(path, number, "transport", f'only {" and ".join(CARRIED_BY)} includes "{match.group(1)}": see session/transport.h')


def arguments_of(text, start):
    """The text between the parentheses of a call; `start` is behind the first one."""
    depth, at = 1, start
    while at < len(text) and depth > 0:
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return text[start:at - 1]


def check_spans(path, text, code):
    """As far as a pattern can tell: bytes of a span given to a C string function or to %s, and an index without a bound."""
    for call, prints in ((STRING_CALL, False), (PRINT_CALL, True)):
        for match in call.finditer(code):
            within = arguments_of(code, match.end())
            # A node's own text ends with a NUL (wire/yaml.h); the arguments of a nested call are checked there.
            if not SPAN_BYTES.search(re.sub(r"\bSPAN_ARG\([^()]*(?:\([^()]*\))?[^()]*\)", "", within)):
                continue
            if prints and not BARE_STRING.search(text[match.end():match.end() + len(within)]):
                continue
            breach(path, code.count("\n", 0, match.start()) + 1, "span",
                   f"{match.group(1)}() takes a span's bytes for a string; it ends nowhere, or at a NUL of a stranger")
    lines = code.split("\n")
    for number, line in enumerate(lines, 1):
        if not INDEX.search(line):
            continue
        near = "\n".join(lines[max(0, number - BOUND_LINES):number])
        if not re.search(r"\blen\b|_len\b|length\b|starts_with|ends_with|_BYTES\b|json_type|span_find|\bcount\b", near):
            breach(path, number, "bound", "indexes a span's bytes, and nothing near it says that they are there")


def own_functions(code):
    return set(re.findall(r"^(?:static\s+)?[\w\s*]+?\b(\w+)\([^;{]*\)\s*\n\{", code, re.M))


def check_process(path, code, name):
    for call, files in PROCESS.items():
        if name in files:
            continue
        for match in re.finditer(r"(?<![\w.>])(" + call + r")\s*\(", code):
            # A declaration has its type in front; a call has not.
            before = code[code.rfind("\n", 0, match.start()) + 1:match.start()]
            if not re.match(r"[a-z]\w*[\s*]", before):
                breach(path, code.count("\n", 0, match.start()) + 1, "process",
                       f"{match.group(1)}() changes the whole process; only {', '.join(sorted(files))} may")


def check_state(path, code, name):
    """Variables that outlive a call: static ones that are not const, and any at the top of a file."""
    if name in STATE:
        return
    for match in re.finditer(r"^([ \t]*)(static\s|_Thread_local\s|(?:struct|union|enum|unsigned|signed|const|volatile|[a-z]\w*)\s)([^;{}()=]*)(=|;|\{|\()",
                             code, re.M):
        indent, first, rest, end = match.groups()
        text = first + rest
        is_static = first.strip() in ("static", "_Thread_local")
        if end == "(" or (end == "{" and not is_static) or re.match(r"(typedef|extern|return|goto|else|case)\b", text):
            continue
        if indent and not is_static:
            continue
        # `struct thing;` and `enum thing;` declare types; a const object, or a const pointer, stays as it is.
        if not is_static and re.match(r"(?:struct|union|enum)\s+\w+\s*$", text):
            continue
        stars = text.rfind("*")
        if re.search(r"\bconst\b", text[stars + 1:] if stars >= 0 else text):
            continue
        breach(path, code.count("\n", 0, match.start()) + 1, "state", "outlives the call; it belongs to an object that its owner creates")


def check_keywords(path, code):
    for number, line in enumerate(code.split("\n"), 1):
        for word in set(re.findall(r"\b[a-z]\w*\b", line)) & KEYWORDS:
            breach(path, number, "keyword", f"{word} is a keyword of C++")


def check_callers(paths):
    """A function that a header declares has a caller in src; one that only tests call belongs to them."""
    codes = {path: without_comments_and_strings(open(path, encoding="utf-8").read()) for path in paths}
    words = {}
    for path, code in codes.items():
        # In a line that begins with a type, the name in front of the parenthesis is declared or defined.
        for line in code.split("\n"):
            own = re.match(r"(?!return\b)[a-z_][\w\s*]*?\b(\w+)\(", line)
            for match in re.finditer(r"\b[a-z]\w*\b", line):
                if own is None or match.start() != own.start(1):
                    words[match.group(0)] = words.get(match.group(0), 0) + 1
    for path, code in codes.items():
        for match in re.finditer(r"^(?!typedef\b)[a-z_][\w \t*]*?\b(\w+)\(", code, re.M):
            if path.endswith(".h") and match.group(1) not in words and match.group(1) not in TESTED_ALONE:
                breach(path, code.count("\n", 0, match.start()) + 1, "unused", f"nothing in src calls {match.group(1)}()")


def check_unit_tests(layers):
    for layer in sorted(layers - NO_UNIT_TESTS):
        folder = os.path.join(ROOT, "test/unit", layer)
        if not any(re.fullmatch(r"test_\w+\.c", name) for name in (os.listdir(folder) if os.path.isdir(folder) else [])):
            breach(folder, 1, "untested", f"the layer {layer} has no unit test")


def check_lengths(path, text, code):
    lines = code.split("\n")
    if len(text.split("\n")) - 1 > FILE_LINES:
        breach(path, FILE_LINES, "length", f"more than {FILE_LINES} lines; is there a second idea inside?")
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{" and start is None:
            start = number
        elif line.startswith("}") and start is not None:
            if number - start - 1 > FUNCTION_LINES:
                breach(path, start, "length", f"a function of {number - start - 1} lines; {FUNCTION_LINES} is the most")
            start = None


def check_head(path, text):
    name = os.path.splitext(os.path.basename(path))[0]
    first = text.split("\n", 1)[0]
    if not re.match(r"/\* " + re.escape(name) + r": \S", first):
        breach(path, 1, "head", f'the file must begin with "/* {name}: what it is"')


def check_head_says(path, text):
    if re.match(r"/\* \w+: see \w+\.h\. \*/", text):
        breach(path, 1, "head", "the head names a header and not what lives here")


def check_guard(path, text, layer):
    name = os.path.splitext(os.path.basename(path))[0]
    guard = f"SENNIT_{layer}_{name}_H".upper()
    if f"#ifndef {guard}\n#define {guard}\n" not in text:
        breach(path, 1, "guard", f"expected the include guard {guard}")


def check_text(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if "\t" in line and not path.endswith("Makefile"):
            breach(path, number, "space", "a tab")
        if line != line.rstrip():
            breach(path, number, "space", "space at the end of the line")
        if UNFINISHED.search(line) and not path.endswith("tidy.py") and not path.endswith("tidy_test.py"):
            breach(path, number, "unfinished", "say it in the code or in an issue, not in a note")
        if STRANGERS.search(line):
            breach(path, number, "stranger", "names a machine or a registry")


def check_dead(paths):
    builds = ""
    for path in sources("src", ("meson.build",)):
        builds += open(path).read()
    included = set()
    for folder in ("src", "test", "bench"):
        for path in sources(folder, (".c", ".h")):
            included |= set(re.findall(r'#\s*include\s+"([^"]+)"', open(path, encoding="utf-8").read()))
    for path in paths:
        name = os.path.basename(path)
        if path.endswith(".c") and f"'{name}'" not in builds:
            breach(path, 1, "dead", "is in no meson.build")
        if path.endswith(".h") and os.path.relpath(path, os.path.join(ROOT, "src")) not in included:
            breach(path, 1, "dead", "is included nowhere")


def main():
    paths = list(sources("src", (".c", ".h")))
    layers = {}
    for path in paths:
        layer = os.path.relpath(path, os.path.join(ROOT, "src")).split(os.sep)[0]
        text = open(path, encoding="utf-8").read()
        code = without_comments_and_strings(text)
        if layer not in MAY:
            breach(path, 1, "layer", f"{layer} is no layer")
            continue
        if os.path.splitext(os.path.basename(path))[0] in BAD_NAMES:
            breach(path, 1, "name", "says nothing about what is inside")
        layers.setdefault(layer, []).append((path, text))
        check_includes(path, text, layer)
        check_transport(path, text, layer)
        check_outside(path, code, layer)
        check_spans(path, text, code)
        check_lengths(path, text, code)
        check_head(path, text)
        check_head_says(path, text)
        name = os.path.relpath(path, os.path.join(ROOT, "src"))
        check_process(path, code, name)
        check_state(path, code, name)
        if path.endswith(".h"):
            check_guard(path, text, layer)
            check_keywords(path, code)
    check_dead(paths)
    for files in layers.values():
        check_states(files)
    check_callers(paths)
    check_unit_tests(set(layers))
    for folder in ("test", "bench", "examples"):
        for path in sources(folder, (".c", ".h")):
            text = open(path, encoding="utf-8").read()
            check_lengths(path, text, without_comments_and_strings(text))
            check_head_says(path, text)
    for folder in ("src", "test", "bench", "tools", "web", "clients", "examples"):
        for path in sources(folder, (".c", ".h", ".py", ".mjs", ".js", ".html", ".css", ".lua", ".yaml", ".build")):
            if os.path.join("test", "vectors") not in path:
                check_text(path, open(path, encoding="utf-8").read())
    for text in sorted(set(breaches)):
        print(text)
    print(f"tidy: {len(paths)} files, {len(set(breaches))} breaches")
    return 1 if breaches else 0


sys.exit(main())
