"""The first process of a pod: it starts the supervisor, passes output on as :mod:`framing` says, and tells the outcome.

It never runs the user's code nor reads what that wrote but to pass it on. Nothing inside of the pod can kill it,
so that there is an outcome where there is a pod.

An outcome that is short goes into the pod's termination message, and the pod ends. A longer one, and each one of a
pod that is kept, stays in its file until it has been fetched (:func:`send_outcome`): a line of the log says that it
is there. More requests come in through :func:`take_request`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

from airflow_provider_tasks.runtime import files, framing, processes, protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

HOME = "/airflow"
"""The folder of the worker in its pod."""

RUNTIME = HOME + "/runtime/runtime.pyz"
PARTS = HOME + "/request"
WORK = HOME + "/scratch"
TASK = WORK + "/task"
"""Where tasks run."""

TEMPORARY = os.path.join(WORK, "tmp")
FOLDER = WORK + "/.worker"
"""Where the requests are, and what the runtime itself needs."""

_QUEUE = FOLDER + "/queue"

MESSAGE_FILE = "/dev/termination-log"
MESSAGE_LIMIT = 4096
"""Bytes of a termination message; Kubernetes cuts longer ones."""

MESSAGES_LIMIT = 12 * 1024
"""Bytes of the termination messages of all containers of a pod; Kubernetes gives each of many an equal part."""

MESSAGE_MARK = b"airflow-worker 1"
"""What a termination message of this runtime begins with."""

WAIT = 3600.0
"""Seconds that an outcome waits to be fetched, in a pod that is not kept."""


def serve(entry: str, keep: str, message_limit: str = str(MESSAGE_LIMIT)) -> None:
    """Be the first process of a pod.

    Args:
        entry: what Python runs to get this runtime.
        keep: for how many seconds the pod is kept after a request; ``0`` for a pod of one request.
        message_limit: bytes that its termination message may have.

    """
    Pod(entry, float(keep), int(message_limit)).serve()


class Pod:
    """The first process of a pod."""

    def __init__(self, entry: str, keep: float, message_limit: int = MESSAGE_LIMIT) -> None:
        self._entry = entry
        self._message_limit = message_limit
        self._keep = keep
        self._framer = framing.Framer()
        self._stdout = os.dup(1)
        self._ended = False
        self._oom_kills = oom_kills()
        self._wakeup, write = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_terminate)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for folder in (TEMPORARY, TASK, FOLDER):
            os.makedirs(folder, 0o700, exist_ok=True)
        self._requests: list[str] = []
        self._supervisor = 0
        self._status: int | None = None

    def serve(self) -> None:
        """Run the request that the pod was made with, then those that come in, as long as the pod is wanted."""
        self._start()
        self._requests.append(_request_file(1))
        files.write(self._requests[0], join_parts())
        number = 0
        while self._requests:
            number += 1
            request = self._requests.pop(0)
            outcome = self._run(request)
            self._print(self._framer.end())
            if not self._keep or self._ended:
                message = termination_message(outcome, self._framer.lines, self._message_limit)
                if message is not None:
                    self._end(message)
            queue = _open_queue()
            files.remove(_request_file(number + 1))  # nobody but a task can have made it
            self._print(self._framer.control(f"outcome {number} {self._framer.lines}"))
            self._wait_for_request(queue, self._keep or WAIT)
            os.close(queue)
        # Ended from outside, it says so as a shell does.
        self._end(b"%s %d none\n" % (MESSAGE_MARK, self._framer.lines), 128 + signal.SIGTERM if self._ended else 0)

    def _start(self) -> None:
        """Start the supervisor: requests go to its standard input, its output and its answers come back."""
        read, lifeline = os.pipe()
        output, write = os.pipe()
        control, answers = os.pipe()
        self._supervisor = os.fork()
        if not self._supervisor:  # pragma: no cover - runs in a pod
            signal.set_wakeup_fd(-1)
            processes.end_with_parent()
            for source, target in ((read, 0), (write, 1), (write, 2)):
                os.dup2(source, target)
            os.closerange(3, answers)
            from airflow_provider_tasks.runtime import supervisor

            supervisor.serve(self._entry, answers, WORK)
        for file in (read, write, answers):
            os.close(file)
        os.set_blocking(output, False)
        self._lifeline, self._output, self._control = lifeline, output, control

    def _run(self, request: str) -> bytes:
        """Run ``request`` and return its outcome."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._lifeline, os.fsencode(request) + b"\n")
        answer: bytes | None = None
        output_open = True
        while answer is None:
            ready = self._select([self._control, *([self._output] if output_open else [])])
            if self._control in ready:
                answer = os.read(self._control, 65_536)
            elif self._output in ready:
                output_open = self._pass_on()
        outcome = files.read(request + ".outcome", protocol.OUTCOME_LIMIT + 1) if answer else None
        if outcome is None:
            outcome = self._died(answer)
            files.write(request + ".outcome", outcome)
        # Everyone who could print has ended: what is in the pipe is all that there is.
        while output_open and self._pass_on():
            pass
        return outcome

    def _select(self, readable: list[int], seconds: float | None = None) -> list[int]:
        ready, _, _ = select.select([*readable, self._wakeup], [], [], seconds)
        if self._wakeup in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wakeup, 4096)
            self._look_at_supervisor(os.WNOHANG)
        return ready

    def _look_at_supervisor(self, options: int = 0) -> None:
        """Learn whether the supervisor has ended, and how; a task that stops it has it going again at once."""
        while self._status is None:
            pid, status = os.waitpid(self._supervisor, os.WUNTRACED | options)
            if not pid:
                return
            if os.WIFSTOPPED(status):
                os.kill(self._supervisor, signal.SIGCONT)
            else:
                self._status = status

    def _pass_on(self) -> bool:
        """Pass on output that is there; whether there can be more."""
        try:
            data = os.read(self._output, 2**16)
        except BlockingIOError:
            return False
        self._print(self._framer.feed(data))
        return data != b""

    def _print(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._stdout, data) :]

    def _died(self, answer: bytes) -> bytes:
        """Return the outcome of a request whose supervisor is gone, or has an ``answer`` that is not its own."""
        if self._status is None:
            os.kill(self._supervisor, signal.SIGKILL)
            self._look_at_supervisor()
        processes.kill_all()
        status = self._status or 0
        head: dict[str, object] = {"status": "failure", "category": "killed", "timeline": {}}
        if answer:
            head["message"] = "the task wrote to the worker's own pipes before it reported an outcome"
        elif self._ended:
            head["message"] = "the worker was told to end"
        elif oom_kills() > self._oom_kills:
            head.update(category="memory", message="the worker ran out of memory")
        else:
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
            how = f"exit code {os.WEXITSTATUS(status)}" if number is None else f"signal {processes.signal_name(number)}"
            head["message"] = f"the worker ended with {how} before it reported an outcome"
        self._ended = True  # there is nobody to run another request
        return b"".join(protocol.dump_outcome(head, None))

    def _wait_for_request(self, queue: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        received = b""
        while not self._ended and time.monotonic() < end:
            ready = self._select([queue, self._control, self._output], end - time.monotonic())
            if self._output in ready and not self._pass_on():
                self._ended = True
            if self._control in ready:
                self._ended = True  # the supervisor is gone
            if queue in ready:
                received += os.read(queue, 4096)
            if received.endswith(b"\n"):
                self._requests += map(os.fsdecode, received.split())
                return

    def _end(self, message: bytes, code: int = 0) -> None:
        """Leave ``message`` behind and end, and with this process everything in the pod."""
        with contextlib.suppress(OSError), open(MESSAGE_FILE, "wb") as file:
            file.write(message)
        os._exit(code)

    def _on_terminate(self, *_: object) -> None:
        self._ended = True
        if self._supervisor and self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._supervisor, signal.SIGTERM)


def termination_message(outcome: bytes, lines: int, limit: int = MESSAGE_LIMIT) -> bytes | None:
    """Return the termination message that holds ``outcome``; None where it is too long for one."""
    start = b"%s %d " % (MESSAGE_MARK, lines)
    message = start + b"plain\n" + outcome
    if len(message) <= limit:
        return message
    if len(outcome) > 64 * MESSAGE_LIMIT:
        return None
    import base64
    import zlib

    message = start + b"zlib\n" + base64.b85encode(zlib.compress(outcome, 9))
    return message if len(message) <= limit else None


def send_outcome(number: str) -> None:
    """Write the outcome of request ``number`` to standard output."""
    outcome = files.read(_request_file(int(number)) + ".outcome", protocol.OUTCOME_LIMIT + 1)
    if outcome is None:
        sys.exit(f"there is no outcome of request {number}")
    _send(outcome)


def take_request(number: str, size: str) -> None:
    """Read request ``number``, ``size`` bytes, from standard input, and have it run."""
    data = sys.stdin.buffer.read(int(size))
    if len(data) != int(size):
        sys.exit(f"the request has {len(data)} bytes, expected {size}")
    import zlib

    path = _request_file(int(number))
    if os.path.lexists(path):
        sys.exit(f"request {number} is there already: another process uses this worker")
    try:
        queue = os.open(_QUEUE, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        sys.exit("a task runs in this worker")
    files.write(path, zlib.decompress(data))
    with open(queue, "wb") as file:
        file.write(os.fsencode(path) + b"\n")


def join_parts(folder: str = PARTS) -> bytes:
    """Return the request whose compressed parts are the files in ``folder``."""
    import zlib

    data = bytearray()
    for name in sorted(name for name in os.listdir(folder) if name.startswith("part-")):
        with open(os.path.join(folder, name), "rb") as file:
            data += file.read()
    return zlib.decompress(data)


def oom_kills() -> int:
    """Return how many processes of this control group the kernel has ended for want of memory."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        with contextlib.suppress(OSError, ValueError), open(path, "rb") as file:
            for line in file:
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    return 0


def _open_queue() -> int:
    """Return the pipe through which requests come in, made anew: the task may have done anything to it."""
    if os.path.islink(FOLDER) or not os.path.isdir(FOLDER):
        files.remove(FOLDER)
        os.makedirs(FOLDER, 0o700)
    os.chmod(FOLDER, 0o700)
    files.remove(_QUEUE)
    os.mkfifo(_QUEUE, 0o600)
    return os.open(_QUEUE, os.O_RDWR | os.O_NONBLOCK)


def _request_file(number: int) -> str:
    return f"{FOLDER}/request-{number}"


def send_files(path: str) -> None:
    """Write an archive of what is at ``path``, below the task's folder, to standard output."""
    from airflow_provider_tasks.runtime.uploads import inside, pack_path

    try:
        archive = pack_path(inside(TASK, path))
    except OSError as error:
        sys.exit(str(error))
    _send(archive)


def _send(data: bytes) -> None:
    """Write a line with the size and the digest of ``data`` to standard output, then ``data`` itself."""
    import hashlib

    out = sys.stdout.buffer
    out.write(b"%d %s\n" % (len(data), hashlib.sha256(data).hexdigest().encode("ascii")))
    out.write(data)
    out.flush()


def take_files(path: str, size: str) -> None:
    """Read an archive, ``size`` bytes in Base64, from standard input and unpack it below the task's folder."""
    from airflow_provider_tasks.runtime.uploads import inside, unpack_files

    data = sys.stdin.buffer.read(int(size))
    if len(data) != int(size):
        sys.exit(f"the files have {len(data)} bytes, expected {size}")
    try:
        unpack_files(data.decode("ascii"), inside(TASK, path))
    except OSError as error:
        sys.exit(str(error))


COMMANDS: dict[str, Callable[..., None]] = {
    "outcome": send_outcome,
    "request": take_request,
    "send-files": send_files,
    "take-files": take_files,
}
