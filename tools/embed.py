#!/usr/bin/env python3
"""Makes a C header of text files: tools/embed.py OUT NAME DIRECTORY FILE...: `static const char NAME_<file>[] = "...";` for each.
FILE may be several joined by +, which become one text, named after the last."""
import os, sys

out, name, directory, files = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
lines = ["/* Made by tools/embed.py. */"]
for file in files:
    parts = file.split("+")
    lines.append(f"static const char {name}_{os.path.splitext(parts[-1])[0]}[] =")
    for part in parts:
        for line in open(os.path.join(directory, part), encoding="ascii"):
            text = line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"')
            lines.append(f'    "{text}\\n"')
    lines[-1] += ";"
with open(out, "w", encoding="ascii") as file:
    file.write("\n".join(lines) + "\n")
