"""Prints "passed failed skipped" of a JUnit report; a report that is absent counts as one failure."""
import sys
import xml.etree.ElementTree as tree

try:
    suites = list(tree.parse(sys.argv[1]).getroot().iter("testsuite"))
except (OSError, tree.ParseError):
    print("0 1 0")
    sys.exit(0)
total = sum(int(suite.get("tests", 0)) for suite in suites)
bad = sum(int(suite.get("failures", 0)) + int(suite.get("errors", 0)) for suite in suites)
skipped = sum(int(suite.get("skipped", 0)) for suite in suites)
print(total - bad - skipped, bad, skipped)
