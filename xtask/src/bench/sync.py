"""Measures reading logs from a node into files beside cryo, as ratios in one run.

usage: sync.py BINARY FOLDER LOGS CRYO

The node is a process of its own that serves made-up logs of a lending market from memory; what it uses is nobody's.
Times are CPU seconds (user and system, all threads) of the whole process that reads, from its start to its end; wall
times are printed beside them. Each reader runs several times, in turn with the others, and its least counts. CRYO is
what pip calls it; without pip or the package its lines are missing and said to be, and so are the ratios.

What is compared:

* raw: every log as the node has it, in Parquet;
* the commonest event decoded: one pass that asks for this event alone and decodes each;
* every event decoded: cryo decodes one event in a pass, so it takes a pass for each; ours is one pass, and folds too.
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


def least(commands):
    """The least of each figure of each reader; all of them run in turn, so that all share the weather.

    A run that fails is told and does not count; None where all of them fail."""
    runs = {name: [] for name in commands}
    for number in range(RUNS):
        for name, command in commands.items():
            result = run(command)
            if result is None:
                print(f"  run {number + 1} of `{name}` failed and does not count", flush=True)
            else:
                runs[name].append(result)
    return {name: tuple(map(min, zip(*results))) if results else None for name, results in runs.items()}


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


def show(name, result, logs):
    """Prints a reader's figures; its thousands of logs a CPU-second."""
    if result is None:
        print(f"  {name:<58} skipped: it could not be had or failed")
        return None
    wall, cpu, memory, disk = result
    rate = logs / cpu / 1e3
    print(f"  {name:<58} {rate:8.0f} {cpu:8.2f} {wall:8.2f} {memory:8.0f} {memory * 1e6 / logs:8.0f} {disk:8.1f}", flush=True)
    return rate


def ratio(what, ours, theirs, target=""):
    told = f"{ours / theirs:8.2f} x" if ours and theirs else "unknown: a side is missing"
    print(f"  {what:<58} {told} {target}", flush=True)


def main():
    node = subprocess.Popen([BINARY, "node", str(LOGS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        raw = measure(*node.stdout.readline().split())
    finally:
        node.stdin.close()
        node.wait()
        shutil.rmtree(OUT, ignore_errors=True)
    subprocess.run([BINARY, "stages", OUT, str(LOGS), str(raw)], check=True)


def measure(url, first, last, logs, commonest):
    """Prints all comparisons; our thousands of raw logs a CPU-second."""
    first, last, logs, commonest = int(first), int(last), int(logs), int(commonest)
    commands = {
        "ours: raw": [BINARY, "raw", url, str(last), OUT],
        "ours: one": [BINARY, "commonest", url, str(last), OUT],
        "ours: all": [BINARY, "folded", url, str(last), OUT],
    }
    python = cryo_python()
    if python:
        topics = subprocess.run([BINARY, "topics", *EVENTS], check=True, capture_output=True, text=True).stdout.split()
        events = list(zip(EVENTS, topics))
        commands["cryo: raw"] = cryo(python, url, first, last, [None])
        commands["cryo: one"] = cryo(python, url, first, last, events[:1])
        commands["cryo: all"] = cryo(python, url, first, last, events)
    results = least(commands)
    print(f"{logs} logs of a node on this machine, {commonest} of them of the commonest event; the least of {RUNS} runs")
    print(f"  {'':<58} {'k/CPU-s':>8} {'CPU s':>8} {'wall s':>8} {'MiB':>8} {'MiB/M':>8} {'MB disk':>8}")
    lines = [
        ("cryo: raw", f"{CRYO}: raw", logs),
        ("cryo: one", f"{CRYO}: the commonest event decoded", commonest),
        ("cryo: all", f"{CRYO}: every event decoded, {len(EVENTS)} passes", logs),
        ("ours: raw", "ours: raw", logs),
        ("ours: one", "ours: the commonest event decoded", commonest),
        ("ours: all", "ours: raw, every event decoded and folded, one pass", logs),
    ]
    rate = {name: show(text, results.get(name), count) for name, text, count in lines}
    print("ratios of logs a CPU-second, ours to cryo's")
    ratio("raw to raw", rate["ours: raw"], rate["cryo: raw"])
    ratio("the commonest event decoded to the same", rate["ours: one"], rate["cryo: one"], "(target: 3 x)")
    ratio("every event, raw, decoded and folded, to its decoded ones", rate["ours: all"], rate["cryo: all"], "(target: 3 x)")
    ratio("the same to the commonest event decoded, its best", rate["ours: all"], rate["cryo: one"])
    return rate["ours: raw"] or 0.0


main()
