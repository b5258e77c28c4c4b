"""Measures reading logs from a node into files beside cryo, as ratios in one run.

usage: sync.py BINARY FOLDER LOGS CRYO

The node is a process of its own that serves made-up logs of a lending market from memory; what it uses is nobody's.
Times are CPU seconds (user and system) of the whole process that reads; wall times are printed beside them. The least of
several runs counts. CRYO is what pip calls it; without pip or the package its lines are missing and said to be.
"""

import os
import shutil
import subprocess
import sys
import time

BINARY, FOLDER, LOGS, CRYO = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
RUNS = 3
OUT = f"{FOLDER}/sync"

# Whole chunks, and few enough logs in a question for a node that hands out ten thousand at once. Cryo decodes one event at
# a time, so a decoded history is one run for each.
BLOCKS = 1_000

COMMONEST = "ReserveDataUpdated(address indexed reserve, uint256 liquidityRate, uint256 stableRate, uint256 variableRate, uint256 liquidityIndex, uint256 variableIndex)"
EVENTS = [
    COMMONEST,
    "Mint(address indexed caller, address indexed onBehalfOf, uint256 value, uint256 increase, uint256 index)",
    "Burn(address indexed from, address indexed target, uint256 value, uint256 increase, uint256 index)",
    "BalanceTransfer(address indexed from, address indexed to, uint256 value, uint256 index)",
    "Supply(address indexed reserve, address user, address indexed onBehalfOf, uint256 amount, uint16 indexed referral)",
    "Withdraw(address indexed reserve, address indexed user, address indexed to, uint256 amount)",
    "Borrow(address indexed reserve, address user, address indexed onBehalfOf, uint256 amount, uint8 mode, uint256 rate, uint16 indexed referral)",
    "Repay(address indexed reserve, address indexed user, address indexed repayer, uint256 amount, bool useATokens)",
    "LiquidationCall(address indexed collateral, address indexed debt, address indexed user, uint256 repaid, uint256 seized, address liquidator, bool receiveAToken)",
    "ReserveUsedAsCollateralEnabled(address indexed reserve, address indexed user)",
    "UserEModeSet(address indexed user, uint8 category)",
]


def run(command):
    """Runs a program; its wall seconds, CPU seconds, peak memory in MiB, or None where it fails.

    A child's peak counts what its parent held when it was started, so this process imports nothing large.
    """
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    began = time.time()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        return None
    return time.time() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, size()


def size():
    files = (os.path.join(at, name) for at, _, names in os.walk(OUT) for name in names)
    return sum(map(os.path.getsize, files)) / 1e6


def least(command):
    runs = [result for result in (run(command) for _ in range(RUNS)) if result]
    return tuple(min(column) for column in zip(*runs)) if runs else None


def cryo_python():
    """A Python that has cryo, made where there is none; None where it cannot be had."""
    python = f"{FOLDER}/cryo/bin/python"
    try:
        if not os.path.exists(python):
            subprocess.run(["python3", "-m", "venv", f"{FOLDER}/cryo"], check=True, stdout=subprocess.DEVNULL)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", CRYO]
        subprocess.run(install, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return python


def cryo(python, url, first, last, events):
    """What runs cryo over all blocks: for every event once, or once for all and undecoded where there is none."""
    code = f"""
import cryo
common = dict(blocks=["{first}:{last + 1}"], rpc="{url}", inner_request_size={BLOCKS}, chunk_size={BLOCKS}, verbose=False)
for place, event in enumerate({events!r}):
    only = dict(event_signature=event[0], topic0=[event[1]]) if event else dict()
    cryo.freeze("logs", output_dir="{OUT}/" + str(place), **only, **common)
"""
    return [python, "-c", code]


def show(name, result, logs, beside=None):
    if result is None:
        print(f"  {name:<44} skipped: it could not be had or failed")
        return None
    wall, cpu, memory, disk = result
    rate, a_million = logs / cpu / 1e3, memory * 1e6 / logs
    ratios = "".join(f"{rate / other:8.2f} x" for other in beside or [])
    print(f"  {name:<44} {rate:8.0f} {cpu:8.2f} {wall:8.2f} {memory:8.0f} {a_million:8.0f} {disk:8.1f} {ratios}", flush=True)
    return rate


def main():
    node = subprocess.Popen([BINARY, "node", str(LOGS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        measure(*node.stdout.readline().split())
    finally:
        node.stdin.close()
        node.wait()
        shutil.rmtree(OUT, ignore_errors=True)
    subprocess.run([BINARY, "stages", OUT, str(LOGS)], check=True)


def measure(url, first, last, logs, commonest):
    first, last, logs, commonest = int(first), int(last), int(logs), int(commonest)
    print(f"{logs} logs of a node on this machine, {commonest} of the commonest event; the least of {RUNS} runs")
    print("ratios are of logs a CPU-second, to cryo's lines in their order")
    print(f"  {'':<44} {'k/CPU-s':>8} {'CPU s':>8} {'wall s':>8} {'MiB':>8} {'MiB/M':>8} {'MB disk':>8}")
    python = cryo_python()
    raw = one = decoded = None
    if python:
        topics = subprocess.run([BINARY, "topics", *EVENTS], check=True, capture_output=True, text=True).stdout.split()
        events = list(zip(EVENTS, topics))
        raw = least(cryo(python, url, first, last, [None]))
        one = least(cryo(python, url, first, last, events[:1]))
        decoded = least(cryo(python, url, first, last, events))
    lines = [("raw", raw, logs), ("the commonest event decoded", one, commonest), ("every event decoded, one by one", decoded, logs)]
    beside = [rate for rate in (show(f"cryo: {name}", result, count) for name, result, count in lines) if rate]
    show("ours: raw", least([BINARY, "raw", url, str(last), OUT]), logs, beside)
    show("ours: raw, every event decoded and folded", least([BINARY, "folded", url, str(last), OUT]), logs, beside)


main()
