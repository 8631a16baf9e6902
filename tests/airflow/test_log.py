"""The log of a run as Airflow's UI shows it: what is folded, and what is seen without a click."""

from __future__ import annotations

import re

from airflow_provider_tasks.operators.log import RunLog
from airflow_provider_tasks.runtime.tee import GROUP_BEGIN, GROUP_END

_LOGGED = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[\w+ *\] (.*?) *\[[\w.]+\].*")


def seen(lines):
    """Give what a reader sees before any click, groups by their names: all of them are closed at first."""
    found, depth = [], 0
    for line in lines:
        if "::group::" in line:
            if not depth:
                found.append("> " + line.split("::group::")[1])
            depth += 1
        elif "::endgroup::" in line:
            depth = max(0, depth - 1)
        elif not depth:
            found.append(line)
    return found


def task_log(log):
    """Give the lines of the one task in what `dag.test()` printed, as they were logged."""
    lines = [match[1] if (match := _LOGGED.fullmatch(line)) else line for line in log.splitlines()]
    return lines[lines.index("::endgroup::") + 1 :]  # where Airflow's own group before a task ends


def test_a_reader_sees_the_output_and_the_failure_and_the_rest_is_folded(run, capfd):
    done = run("""
        @task.worker(worker_config=WorkerConfig(worker_size="X-Small",
            startup_script="echo preparing; echo ::group::left open; printf 'no newline'"))
        def speak():
            print("hello")
            print("::group::of the task")
            print("within")
            raise ValueError("no route")

        with DAG("log"):
            speak()
        """)
    assert done.states == {"speak": "failed"}
    lines = task_log(capfd.readouterr().out)
    shown = seen(lines)
    assert shown[:5] == ["Running speak", "> Settings", "> Environment", "hello", "> of the task"]
    assert shown[5] == "> Result"
    assert re.fullmatch(r"Worker local-\w+: started [\d.]+ s, environment [\d.]+ s, run [\d.]+ s", shown[6])
    assert shown[7] == "Traceback in the worker (most recent call last):"
    assert shown[9:11] == ['    raise ValueError("no route")', "ValueError: no route"]
    end = shown.index("> Post Execute")
    assert shown[end - 2].endswith("TaskRaisedError: ValueError: no route")
    assert shown[end - 1] == "The traceback above is the task's own."
    assert lines.index("preparing") < lines.index("no newline") < lines.index("hello")
    assert {"backend=local", "worker_size=X-Small"} < set(lines)
    assert any(re.fullmatch(r"peak memory [\d.]+ MiB of 1 GiB", line) for line in lines)
    assert done.xcom("speak", "outcome")["memory_limit"] == 2**30


class Lines(list):
    def info(self, message, *args):
        self.append(message % args)

    warning = info


def test_the_start_of_a_worker_is_folded_and_what_keeps_it_from_starting_is_not():
    lines = Lines()
    log = RunLog(lines)
    log.group("Settings", [])
    log.note("pod a")
    log.trouble("no node can take pod a")
    log.note("pod b")
    log.output("hello")
    log.note("3 lines of output are missing")
    log.close()
    assert seen(lines) == [
        "> Start-up",
        "no node can take pod a",
        "> Start-up",
        "hello",
        "3 lines of output are missing",
    ]
    assert lines.count("::endgroup::") == 2


def test_what_a_task_does_with_groups_is_its_own_and_hides_nothing_else():
    lines = Lines()
    log = RunLog(lines)
    printed = ["::endgroup::", GROUP_BEGIN, "a", "at 3 s ::group::mine", GROUP_END, "b", "::group::mine", "c"]
    for line in printed:
        log.output(line)
    log.close()
    log.trouble("d")
    assert seen(lines) == ["> Environment", "b", "> mine", "d"]
    assert [line for line in lines if "::" not in line] == ["a", "b", "c", "d"]
