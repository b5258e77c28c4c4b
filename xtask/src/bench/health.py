"""Health factors of many accounts in numpy, as fast as it can: accounts a second of one core.

usage: health.py FOLDER LEGS

FOLDER holds what the caller wrote: `amounts` (float64, LEGS to an account, the first half collateral), `reserves` (one
byte for each) and `factors` (float64: what collateral in each reserve is multiplied by, then what debt is). Prints
accounts a second with factors looked up by reserve, accounts a second of one shape's columns, and how many are below 1.
"""

import sys
import time

import numpy

FOLDER, LEGS = sys.argv[1], int(sys.argv[2])
HALF = LEGS // 2
# As many as keep everything in the caches, which is where numpy is at its best.
CHUNK = 100_000
RUNS = 15


def least(work):
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def main():
    amounts = numpy.fromfile(f"{FOLDER}/amounts", dtype=numpy.float64).reshape(-1, LEGS)
    reserves = numpy.fromfile(f"{FOLDER}/reserves", dtype=numpy.uint8).reshape(-1, LEGS)
    as_collateral, as_debt = numpy.fromfile(f"{FOLDER}/factors", dtype=numpy.float64).reshape(2, -1)

    def below(amounts, reserves):
        collateral = (amounts[:, :HALF] * as_collateral[reserves[:, :HALF]]).sum(axis=1)
        debt = (amounts[:, HALF:] * as_debt[reserves[:, HALF:]]).sum(axis=1)
        return collateral / debt < 1.0

    columns = [numpy.ascontiguousarray(amounts[:CHUNK, leg]) for leg in range(LEGS)]

    def one_shape():
        collateral = sum(column * factor for column, factor in zip(columns[:HALF], as_collateral))
        debt = sum(column * factor for column, factor in zip(columns[HALF:], as_debt))
        return collateral / debt < 1.0

    looked_up = CHUNK / least(lambda: below(amounts[:CHUNK], reserves[:CHUNK]))
    print(looked_up, CHUNK / least(one_shape), numpy.count_nonzero(below(amounts, reserves)))


main()
