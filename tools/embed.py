#!/usr/bin/env python3
"""Makes a C header of text files: tools/embed.py OUT NAME FILE...: `static const char NAME_<file>[] = "...";` for each."""
import os, sys

out, name, files = sys.argv[1], sys.argv[2], sys.argv[3:]
lines = ["/* Made by tools/embed.py. */"]
for path in files:
    lines.append(f"static const char {name}_{os.path.splitext(os.path.basename(path))[0]}[] =")
    for line in open(path, encoding="ascii"):
        text = line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'    "{text}\\n"')
    lines[-1] += ";"
with open(out, "w", encoding="ascii") as file:
    file.write("\n".join(lines) + "\n")
