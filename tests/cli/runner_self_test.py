#!/usr/bin/env python3
# Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
"""Proves that run_cli_test.py passes what holds and, above all, fails what does not."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

RUNNER = pathlib.Path(__file__).with_name("run_cli_test.py")


class RunnerTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.program = self.folder / "program"
        self.program.write_text('#!/bin/sh\necho "args: $*"\necho "colour: $NO_COLOR" >&2\n')
        self.program.chmod(0o755)

    def run_test(self, text, **environment):
        file = self.folder / "case.test"
        file.write_bytes(text.encode())
        done = subprocess.run([sys.executable, RUNNER, "--attend", self.program, file], check=False,
                              capture_output=True, text=True, env=dict(os.environ, **environment))
        return done.returncode, done.stdout + done.stderr

    def passes(self, text, **environment):
        code, output = self.run_test(text, **environment)
        self.assertEqual(code, 0, output)

    def fails(self, text, *fragments, code=1, **environment):
        got, output = self.run_test(text, **environment)
        self.assertEqual(got, code, output)
        for fragment in fragments:
            self.assertIn(fragment, output)

    def test_expectations_that_hold(self):
        self.passes("# name: all kinds\n$ attend a b; echo two; touch made\nexit 0\nstdout: args: a b\n"
                    "stdout~ ^two$\nno stdout: three\nno stdout~ ^wo\nstdout lines 2\n"
                    "stderr: colour: 1\nstderr~ colo.r\nno stderr: args\nstderr lines 1\n"
                    "file made\nno file other\n\n$ exit 3\nexit 3\nstdout lines 0\n")

    def test_each_kind_fails_when_it_does_not_hold(self):
        for expectation in ["exit 1", "stdout: b a", "stdout~ ^b", "no stdout: args", "no stdout~ a.b",
                            "stdout lines 2", "stderr: args", "stderr~ ^args", "no stderr: colour",
                            "no stderr~ c.l", "stderr lines 0", "file other", "no file made",
                            "file~ made ^x$", "no file~ made x", "file~ other x"]:
            with self.subTest(expectation):
                self.fails(f"$ echo xx > made; attend a b\n{expectation}\n", f"expected: {expectation}",
                           "attend a b", "args: a b")

    def test_an_unexpected_exit_code_fails_without_being_asked_for(self):
        self.fails("$ exit 7\n", "expected: exit 0", "got:      exit 7")
        self.fails("$ kill -SEGV $$\n", "killed by signal 11")

    def test_all_failures_of_a_block_are_shown_and_the_next_block_does_not_run(self):
        code, output = self.run_test("$ attend\nstdout: x\nstdout: y\n$ echo second block\nstdout: z\n")
        self.assertEqual(code, 1)
        self.assertIn("expected: stdout: x", output)
        self.assertIn("expected: stdout: y", output)
        self.assertNotIn("second block", output)

    def test_files_are_made_as_written(self):
        self.passes("== d/a.tsv\nx\\ty\t$HOME '\n# not a comment\n\n==\n$ cat d/a.tsv\n"
                    "stdout: x\\ty\t$HOME '\nstdout~ ^# not\nstdout lines 3\n"
                    "== hex raw\nff 00\n0a\n==\n$ od -An -tx1 raw\nstdout: ff 00 0a\n")

    def test_blocks_share_a_folder_and_tests_do_not(self):
        text = "$ ls\nstdout lines 0\n$ touch made\n$ ls\nstdout: made\n"
        self.passes(text)
        self.passes(text)

    def test_commands_may_go_on(self):
        self.passes("$ attend a \\\n> b\nstdout: args: a b\n$ for i in 1 2\n> do echo $i\n> done\n"
                    "stdout lines 2\n")

    def test_environment(self):
        self.passes("$ echo $LANG; ls $SRC\nstdout: C.UTF-8\nstdout: tests\n")
        self.passes("$ echo \"core<$OPENBLAS_CORETYPE>\"\nstdout: core<>\n", OPENBLAS_CORETYPE="Haswell")

    def test_demo_run(self):
        run = self.folder / "run"
        run.mkdir()
        needs = "# needs: demo-run\n$ ls $RUN\nstdout: attend.json\n"
        self.fails(needs, "is no run folder", ATTEND_TEST_RUN=str(run))
        self.fails(needs, "is no run folder", ATTEND_TEST_RUN="")
        (run / "attend.json").write_text("{}")
        self.passes(needs, ATTEND_TEST_RUN=str(run))
        self.fails("$ ls $RUN/attend.json\n", ATTEND_TEST_RUN=str(run))

    def test_timeout(self):
        self.fails("# timeout: 0.3\n$ echo before; sleep 5; echo after\n", "still running", "before")

    def test_malformed_files_are_not_passed(self):
        for text, fragment in [("", "no command"), ("# name: x\n", "no command"),
                               ("$ true\nstdot: x\n", "case.test:2: not understood: 'stdot: x'"),
                               ("$ true\nstdout: \n", "not understood"),
                               ("$ true\nstdout~ (\n", "bad regular expression"),
                               ("stdout: x\n$ true\n", "before its command"),
                               ("== a\nx\n$ true\n", "no closing =="),
                               ("== hex a\nfg\n==\n$ true\n", "case.test:"),
                               ("# needs: gpu\n$ true\n", "needs: gpu is unknown")]:
            with self.subTest(text):
                self.fails(text, fragment, code=2)


if __name__ == "__main__":
    unittest.main()
