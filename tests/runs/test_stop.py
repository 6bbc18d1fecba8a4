"""Signals: sent to this process for the first, to a child for the second, which ends it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from metarl.runs.stop import EXIT_CODE, Stopped, StopSignal


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(0)  # Python runs handlers between bytecodes


@pytest.fixture(autouse=True)
def handlers_are_restored():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_lets_running_work_finish(number):
    with StopSignal() as stop:
        assert not stop.requested and stop.signal_name is None
        send(number)
        assert stop.requested and stop.signal_name == number.name


def test_the_answer_comes_at_once_and_says_when_it_stops(capfd):
    with StopSignal(when=lambda: "once iteration 3 of 9 is whole"):
        send(signal.SIGTERM)
        assert capfd.readouterr().err == "\nSIGTERM: stopping once iteration 3 of 9 is whole; once more ends at once\n"
    with StopSignal() as stop, pytest.raises(Stopped), stop.interruptible():
        send(signal.SIGINT)
    assert capfd.readouterr().err == "\nSIGINT: stopping now; once more ends at once\n"


def test_waiting_is_abandoned_at_once():
    with StopSignal() as stop:
        timer = threading.Timer(0.1, send, [signal.SIGTERM])
        timer.start()
        started = time.monotonic()
        with pytest.raises(Stopped), stop.interruptible():
            time.sleep(30)
        assert time.monotonic() - started < 5
        timer.join()
        assert stop.signal_name == "SIGTERM"


def test_waiting_does_not_begin_after_a_signal():
    with StopSignal() as stop:
        send(signal.SIGINT)
        with pytest.raises(Stopped), stop.interruptible():
            pytest.fail("began to wait")


def test_after_the_interruptible_part_work_is_whole_again():
    with StopSignal() as stop:
        with stop.interruptible(), stop.interruptible():
            pass
        send(signal.SIGINT)
        assert stop.requested


def test_stopped_passes_through_handlers_of_ordinary_errors():
    with StopSignal() as stop, pytest.raises(Stopped), stop.interruptible():
        try:
            send(signal.SIGINT)
        except Exception:
            pytest.fail("swallowed")


def test_outside_the_main_thread_nothing_is_installed():
    seen = []

    def enter():
        with StopSignal() as stop:
            seen.append((stop.requested, signal.getsignal(signal.SIGINT)))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


CHILD = """
import os, time
from metarl.runs.stop import StopSignal

def cleanup():
    os.write(1, b"cleanup\\n")  # print may not be called while it runs already
    {cleanup}

with StopSignal(cleanup=cleanup) as stop:
    print("ready", flush=True)
    while not stop.requested:
        time.sleep(0.01)
    print("requested", flush=True)
    try:
        time.sleep(60)
    finally:
        print("not at once", flush=True)
"""


@pytest.mark.parametrize("cleanup, signals", [("pass", 2), ("raise RuntimeError", 2), ("time.sleep(60)", 3)])
def test_second_signal_cleans_up_and_ends_at_once_and_a_third_does_not_wait(cleanup, signals):
    code = CHILD.format(cleanup=cleanup)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        try:
            for line in ["ready\n", "requested\n", "cleanup\n"][:signals]:
                assert child.stdout.readline() == line
                child.send_signal(signal.SIGINT)
            assert child.wait(timeout=5) == EXIT_CODE == 130
            assert child.stdout.read() == ("cleanup\n" if signals == 2 else "")
        finally:
            child.kill()
