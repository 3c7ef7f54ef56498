#!/usr/bin/env python3
# Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
"""Runs one text-driven test of the command line:  run_cli_test.py --attend PROGRAM FILE.test

A test file reads like a terminal session. Its blocks share one fresh, temporary folder:

    # name: train refuses an empty file          any other line that starts with # is a comment
    # needs: demo-run                            $RUN is a trained run folder (ATTEND_TEST_RUN)
    # timeout: 120                               seconds per command; 60 if not given

    == train.tsv                                 makes a file from the lines up to ==, as they are
    good\tyes
    ==
    == hex broken.tsv                            the same from hexadecimal digits; spaces are free
    ff fe 00
    ==

    $ attend train --train train.tsv             run by bash; NO_COLOR=1, LANG=C.UTF-8, no OPENBLAS_*,
    > --dev dev.tsv                              $SRC the source folder; "> " goes on with it
    exit 2                                       0 if not given
    stdout: TEXT        stderr: TEXT             contains
    stdout~ REGEX       stderr~ REGEX            matches somewhere; ^ and $ are those of a line
    no stdout: TEXT     no stderr~ REGEX         and the opposites of these four
    stdout lines 3      stderr lines 0
    file PATH           no file PATH             exists; or not
    file~ PATH REGEX    no file~ PATH REGEX      its text matches somewhere

Exit code 0 if all expectations hold, 1 if one does not (the rest of its block is checked, later blocks
are not run), 2 if the test file itself is wrong.
"""
import argparse
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile


class Malformed(Exception):
    """The test file is wrong."""


@dataclasses.dataclass
class Expectation:
    line: int
    text: str  # as written
    kind: str  # contains, matches, lines, file, file-matches
    negated: bool
    subject: str  # stdout, stderr or a path
    value: str = ""


@dataclasses.dataclass
class MadeFile:
    path: str
    content: bytes


@dataclasses.dataclass
class Command:
    line: int
    text: str
    exit_code: int = 0
    expectations: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Test:
    name: str
    steps: list
    needs_run: bool = False
    timeout: float = 60


def parse_regex(pattern):
    try:
        return re.compile(pattern, re.MULTILINE)
    except re.error as error:
        raise Malformed(f"bad regular expression {pattern!r}: {error}") from error


def parse_expectation(number, text):
    match = re.fullmatch(r"(no )?(stdout|stderr)(: |~ )(.+)", text)
    if match:
        negated, subject, sign, value = match.groups()
        if sign == "~ ":
            parse_regex(value)
        kind = "contains" if sign == ": " else "matches"
        return Expectation(number, text, kind, bool(negated), subject, value)
    match = re.fullmatch(r"(stdout|stderr) lines (\d+)", text)
    if match:
        return Expectation(number, text, "lines", False, *match.groups())
    match = re.fullmatch(r"(no )?file~ (\S+) (.+)", text)
    if match:
        negated, path, value = match.groups()
        parse_regex(value)
        return Expectation(number, text, "file-matches", bool(negated), path, value)
    match = re.fullmatch(r"(no )?file (.+)", text)
    if match:
        return Expectation(number, text, "file", bool(match[1]), match[2])
    raise Malformed(f"not understood: {text!r}")


def parse_header(test, line):
    match = re.fullmatch(r"#?\s*(name|needs|timeout):\s*(.+?)\s*", line)
    if not match:
        return
    key, value = match.groups()
    if key == "name":
        test.name = value
    elif key == "timeout":
        test.timeout = float(value)
    elif value == "demo-run":
        test.needs_run = True
    else:
        raise Malformed(f"needs: {value} is unknown; demo-run is known")


def parse_made_file(header, lines):
    """The lines up to "==", which this takes from `lines`."""
    is_hex = header.startswith("== hex ")
    path = header[len("== hex ") if is_hex else len("== ") :].strip()
    content = []
    for _, line in lines:
        if line == "==":
            break
        content.append(line)
    else:
        raise Malformed(f"the file {path} has no closing ==")
    if is_hex:
        return MadeFile(path, bytes.fromhex("".join(content)))
    return MadeFile(path, "".join(line + "\n" for line in content).encode())


def parse(path):
    test = Test(path.stem, [])
    command = None
    # Not splitlines(): that also splits at characters which a test may want in its data.
    lines = enumerate(path.read_bytes().decode().split("\n"), 1)
    number = 0
    try:
        for number, line in lines:
            if line.startswith("== "):
                test.steps.append(parse_made_file(line, lines))
                command = None
            elif line.startswith("$ "):
                command = Command(number, line[2:])
                test.steps.append(command)
            elif line.startswith("> ") and command and not command.expectations:
                command.text += "\n" + line[2:]
            elif line.startswith("#") or re.match(r"(name|needs|timeout):", line):
                parse_header(test, line)
            elif line.strip() == "":
                continue
            elif command is None:
                raise Malformed(f"an expectation before its command: {line!r}")
            elif re.fullmatch(r"exit \d+", line.strip()):
                command.exit_code = int(line.split()[1])
            else:
                command.expectations.append(parse_expectation(number, line))
    except (Malformed, ValueError) as error:
        raise Malformed(f"{path}:{number}: {error}") from error
    if not any(isinstance(step, Command) for step in test.steps):
        raise Malformed(f"{path}: has no command ('$ ...')")
    return test


def failure_of(expectation, outputs, folder):
    """What was found instead, or None if the expectation holds."""
    if expectation.kind == "file":
        held = (folder / expectation.subject).exists() != expectation.negated
        if held:
            return None
        return "it exists" if expectation.negated else f"the folder has {listing(folder)}"
    if expectation.kind == "file-matches":
        path = folder / expectation.subject
        if not path.is_file():
            return f"no such file; the folder has {listing(folder)}"
        text = path.read_bytes().decode(errors="replace")
    else:
        text = outputs[expectation.subject]
    if expectation.kind == "lines":
        count = text.count("\n") + (text != "" and not text.endswith("\n"))
        return None if count == int(expectation.value) else f"{count} lines"
    if expectation.kind == "contains":
        found = expectation.value in text
    else:
        found = parse_regex(expectation.value).search(text) is not None
    if found != expectation.negated:
        return None
    name = expectation.subject
    return f"{name} has it" if expectation.negated else f"{name} has no such text"


def listing(folder):
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "") if names else "nothing"


def indented(text, limit=4000):
    if len(text) > limit:
        text = text[: limit // 2] + "\n[...]\n" + text[-limit // 2 :]
    return "".join(f"    | {line}\n" for line in text.rstrip("\n").split("\n")) if text else "    (nothing)\n"


def run_command(path, command, environment, folder, timeout):
    """Whether all expectations hold; prints those that do not."""
    failures = []
    # A session of its own, so that a command that does not end goes with all it started: they would
    # hold the pipes open.
    process = subprocess.Popen(["bash", "-c", command.text], cwd=folder, env=environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
    try:
        out, err = process.communicate(timeout=timeout)
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        code = None
        failures.append((command.line, f"an end within {timeout:g} s", "still running; stopped it"))
    outputs = {"stdout": out.decode(errors="replace"), "stderr": err.decode(errors="replace")}
    if code is not None and code != command.exit_code:
        killed = f" (killed by signal {-code})" if code < 0 else ""
        failures.append((command.line, f"exit {command.exit_code}", f"exit {code}{killed}"))
    for expectation in command.expectations:
        got = failure_of(expectation, outputs, folder)
        if got is not None:
            failures.append((expectation.line, expectation.text, got))
    if not failures:
        return True
    print(f"FAILED {path}:{command.line}\n  command\n{indented(command.text)}", end="")
    for line, expected, got in failures:
        print(f"  line {line}\n    expected: {expected}\n    got:      {got}")
    print(f"  exit code {code}\n  stdout\n{indented(outputs['stdout'])}", end="")
    print(f"  stderr\n{indented(outputs['stderr'])}", end="")
    return False


def run_test(path, test, attend, source):
    with tempfile.TemporaryDirectory(prefix="attend-cli-") as scratch:
        folder = pathlib.Path(scratch, "work")
        programs = pathlib.Path(scratch, "bin")
        folder.mkdir()
        programs.mkdir()
        (programs / "attend").symlink_to(attend.resolve())
        environment = dict(os.environ, NO_COLOR="1", LANG="C.UTF-8", LC_ALL="C.UTF-8", SRC=str(source),
                           PATH=f"{programs}:{os.environ['PATH']}")
        # Settings of OpenBLAS are warned of, which is a line more than a test expects.
        for name in [name for name in environment if name == "RUN" or name.startswith("OPENBLAS_")]:
            del environment[name]
        if test.needs_run:
            run = os.environ.get("ATTEND_TEST_RUN", "")
            if not pathlib.Path(run, "attend.json").is_file():
                print(f"FAILED {path}: needs demo-run, but ATTEND_TEST_RUN={run!r} is no run folder")
                return False
            environment["RUN"] = run
        for step in test.steps:
            if isinstance(step, MadeFile):
                made = folder / step.path
                made.parent.mkdir(parents=True, exist_ok=True)
                made.write_bytes(step.content)
            elif not run_command(path, step, environment, folder, test.timeout):
                return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--attend", type=pathlib.Path, required=True, help="the program under test")
    parser.add_argument("--source", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("test", type=pathlib.Path)
    arguments = parser.parse_args()
    try:
        test = parse(arguments.test)
    except (Malformed, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not run_test(arguments.test, test, arguments.attend, arguments.source):
        return 1
    commands = sum(isinstance(step, Command) for step in test.steps)
    print(f"passed: {test.name} ({commands} commands)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
