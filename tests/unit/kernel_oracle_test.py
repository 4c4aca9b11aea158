#!/usr/bin/python3
"""The comparison with the kernel's tracepoints finds what is missing, too much or different, and knows the agent's calls."""
import collections
import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../compare"))
import kernel # pylint: disable=wrong-import-position
import tracefs # pylint: disable=wrong-import-position

ARGS = (0,) * 6


def seen(*pairs, tid=7):
    """Enter and exit events of calls (nr, result) of one thread."""
    events = []
    for nr, result in pairs:
        events.append(tracefs.Enter(len(events), tid, nr, ARGS))
        events.append(tracefs.Exit(len(events), tid, nr, result))
    return events


def traced(*pairs):
    return [{"nr": nr, "ret": None if result is None else {"value": result}, "seq": seq, "state": "done"}
            for seq, (nr, result) in enumerate(pairs)]


def differences(events, trace):
    calls, problems = kernel.kernel_calls(events)
    return problems + list(kernel.compare_thread(7, calls[7], trace, collections.Counter()))


class Oracle(unittest.TestCase):
    def test_equal_sequences_are_equal(self):
        self.assertEqual(differences(seen((0, 5), (1, 5)), traced((0, 5), (1, 5))), [])

    def test_a_missing_call_is_found(self):
        for lacking in range(3):
            trace = traced((0, 5), (1, 6), (3, 0))
            del trace[lacking]
            self.assertEqual(len(differences(seen((0, 5), (1, 6), (3, 0)), trace)), 1)

    def test_a_call_too_many_is_found(self):
        self.assertEqual(len(differences(seen((0, 5), (3, 0)), traced((0, 5), (1, 6), (3, 0)))), 1)
        self.assertEqual(len(differences(seen((0, 5)), traced((0, 5), (0, 5)))), 1)

    def test_another_result_is_found(self):
        self.assertEqual(len(differences(seen((0, 5), (1, 6)), traced((0, 5), (1, 7)))), 1)

    def test_an_unfinished_call_is_the_last_of_a_dead_thread(self):
        dead = seen((0, 5), (34, -514)) + [tracefs.Death(9, 7)]
        self.assertEqual(differences(dead, traced((0, 5), (34, None))), [])
        self.assertEqual(len(differences(seen((0, 5), (34, -514)), traced((0, 5), (34, None)))), 1)

    def test_a_thread_killed_just_before_a_call_has_it_unfinished(self):
        dead = seen((0, 5)) + [tracefs.Death(9, 7)]
        self.assertEqual(differences(dead, traced((0, 5), (34, None))), [])
        self.assertEqual(len(differences(dead, traced((0, 5), (34, None), (34, None)))), 1)
        self.assertEqual(len(differences(seen((0, 5)), traced((0, 5), (34, None)))), 1)

    def test_the_agents_calls_are_known_by_their_arguments(self):
        base = kernel.AGENT_BASE
        calls = [(9, (base, 0x40000, 5, 0x100022, 2**64 - 1, base), base), (319, (0x400000, 1, 0, 0, 0, base), 3),
                 (9, (base + 0x1040000, 0x110000, 3, 0x100001, 3, 0), base + 0x1040000), (3, (3, 0, 0, 0, 0, 0), 0)]
        events = []
        for nr, args, result in calls:
            events += [tracefs.Enter(len(events), 7, nr, args), tracefs.Exit(len(events), 7, nr, result)]
        self.assertEqual(differences(events, []), [])
        events += [tracefs.Enter(99, 7, 3, (3, 0, 0, 0, 0, 0)), tracefs.Exit(100, 7, 3, 0)]
        self.assertEqual(len(differences(events, [])), 1)  # the program's own close of the same number

    def test_an_exec_by_another_thread_goes_on_as_the_leader(self):
        events = [tracefs.Enter(0, 7, 34, ARGS), tracefs.Enter(1, 8, 59, ARGS), tracefs.Exit(2, 7, 34, -514),
                  tracefs.Death(3, 7), tracefs.Exec(4, 7, 8), tracefs.Exit(5, 7, 59, 0)]
        self.assertEqual(differences(events, traced((34, None), (59, 0))), [])

    def test_a_new_thread_begins_with_its_parents_result(self):
        self.assertEqual(differences([tracefs.Exit(0, 7, 56, 0)] + seen((39, 7)), traced((39, 7))), [])
        self.assertEqual(len(differences([tracefs.Exit(0, 7, 0, 0)], [])), 1)


class Pages(unittest.TestCase):
    def test_records_are_taken_apart(self):
        page = struct.pack("<QQ", 100, 48) + struct.pack("<I8s", 2 | 1 << 5, b"a" * 8)
        page += struct.pack("<II", 30, 1) + struct.pack("<II4s", 0 | 2 << 5, 8, b"bbbb") + struct.pack("<I4s", 1 | 1 << 5, b"c" * 4)
        page += struct.pack("<II", 29 | 1 << 5, 4)
        later = 101 + (1 << 27) + 2
        self.assertEqual(list(tracefs.records(page)), [(101, b"a" * 8), (later, b"bbbb"), (later + 1, b"cccc")])

    def test_lost_events_are_told(self):
        with self.assertRaises(RuntimeError):
            list(tracefs.records(struct.pack("<QQ", 0, 1 << 31)))


if __name__ == "__main__":
    unittest.main()
