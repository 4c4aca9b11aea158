# Python's own tests: python.sh ARGUMENTS-OF-REGRTEST. Prints how many ran and were skipped, and each that failed, by name.
# Left out, because they fail without vtrace too:
#   ThreadedVSOCKSocketStreamTest: connects to its own context id; in a virtual machine that is the host, and it waits for ever
/usr/bin/python3 -c 'import test.test_mmap' 2>/dev/null || { echo 'skipped: not installed: libpython3.11-testsuite'; exit 77; }
export TMPDIR=$PWD PYTHONDONTWRITEBYTECODE=1
/usr/bin/python3 -m test --junit-xml="$PWD/result.xml" -i ThreadedVSOCKSocketStreamTest "$@" >log 2>&1; echo "exit $?"
/usr/bin/python3 - <<'END'
from xml.etree import ElementTree
cases = list(ElementTree.parse("result.xml").iter("testcase"))
bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
print(len(cases), "tests,", sum(case.find("skipped") is not None for case in cases), "skipped")
for case in sorted(bad, key=lambda case: case.get("name")):
    print(case.get("name"))
END
