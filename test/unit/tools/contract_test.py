#!/usr/bin/env python3
"""The contract table of docs/up.md: each row is whole, and each test that it names is there."""
import os, re, sys, unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def rows():
    with open(os.path.join(TOP, "docs/up.md"), encoding="utf-8") as file:
        section = file.read().split("## The contract, row by row\n")[1].split("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and not cells[0].startswith(("**", "field or")):
            yield cells


def path_of(name):
    if name.startswith("e2e/"):
        return f"test/{name}.test.mjs"
    folder, base = os.path.split(name)
    return f"test/{folder}/test_{base}.c"


class Contract(unittest.TestCase):
    def test_there_are_rows(self):
        self.assertGreater(len(list(rows())), 70)

    def test_no_cell_is_empty(self):
        for row in rows():
            self.assertEqual(len(row), 4, row)
            self.assertTrue(all(row), row)

    def test_a_row_without_a_test_is_of_what_is_not_here(self):
        for row in rows():
            self.assertTrue(row[3] != "-" or row[2].startswith("not here"), row)

    def test_the_tests_are_there(self):
        for row in rows():
            names = re.findall(r"`([^`]+)`", row[3])
            self.assertTrue(names or row[3] == "-", row)
            for name in names:
                self.assertTrue(os.path.exists(os.path.join(TOP, path_of(name))), name)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])  # the build directory, which the other tests of this kind want, is not needed
