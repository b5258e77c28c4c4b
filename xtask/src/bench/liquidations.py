"""Measures import and group-by of synthetic liquidations beside DuckDB, as ratios in one run.

usage: liquidations.py BINARY FOLDER ROWS

Times are CPU seconds (user and system) of the whole process unless a column says otherwise: they hold still when the
machine is busy. Wall times are printed beside them. The least of several runs counts.
"""

import os
import subprocess
import sys
import time

BINARY, FOLDER, ROWS = sys.argv[1], sys.argv[2], int(sys.argv[3])
INPUT = f"{FOLDER}/liquidations-{ROWS}.parquet"
ARCHIVE = f"{FOLDER}/archive-{ROWS}"
RUNS = 3

GENERATE = f"""
copy (
  with r as (select i, hash(i) a, hash(i + 1000000007) b, hash(i * 31 + 7) c from range({ROWS}) t(i))
  select to_timestamp(1606780800 + (i * 160000000.0 / {ROWS})::bigint) as block_time,
    ['ethereum', 'polygon', 'arbitrum', 'base', 'optimism', 'avalanche'][1 + (a % 6)::int] as chain,
    case when b % 3 = 0 then 'aave_v2' else 'aave_v3' end as market,
    '0x' || md5(i::varchar) || md5('t' || i::varchar) as tx_hash,
    (c % 500)::int as log_index,
    '0x' || left(md5('u' || (b % ({ROWS} // 10 + 1))::varchar) || md5('v' || (b % ({ROWS} // 10 + 1))::varchar), 40) as user,
    '0x' || left(md5('l' || (c % 300)::varchar) || md5('m'), 40) as liquidator,
    ['WETH', 'WBTC', 'wstETH', 'LINK', 'AAVE'][1 + (c % 5)::int] as collateral_symbol,
    ['USDC', 'USDT', 'DAI', 'WETH'][1 + (a % 4)::int] as debt_symbol,
    ((a % 1000000007) / 1e6)::decimal(20, 6)::varchar as collateral_amount,
    ((b % 100000007) / 1e4)::decimal(20, 4)::varchar as debt_amount,
    ((c % 1000000007) / 1e4 * 1.07)::decimal(20, 6)::varchar as collateral_usd,
    ((c % 1000000007) / 1e4)::decimal(20, 6)::varchar as debt_usd
  from r order by i
) to '{INPUT}' (format parquet, compression zstd)
"""

# The same work on the same rows: text to exact types, one event per (chain, transaction, log), Zstandard.
IMPORT = f"""
copy (
  select distinct on (chain, tx_hash, log_index) block_time, chain, market, unhex(substr(tx_hash, 3)) as tx_hash, log_index,
    unhex(substr(user, 3)) as user, unhex(substr(liquidator, 3)) as liquidator, collateral_symbol, debt_symbol,
    (collateral_amount::decimal(38, 18)) as collateral_amount, (debt_amount::decimal(38, 18)) as debt_amount,
    collateral_usd::decimal(38, 8) as collateral_usd, debt_usd::decimal(38, 8) as debt_usd
  from '{INPUT}'
) to '{FOLDER}/duckdb.parquet' (format parquet, compression zstd)
"""

COLUMNS = ["time", "chain_id", "user", "debt_usd", "collateral_usd", "debt_symbol", "collateral_symbol"]


def group_by(files):
    return f"""
    select chain_id, date_trunc('month', time) as month, count(*), count(distinct user), sum(debt_usd), sum(collateral_usd),
      sum(collateral_usd - debt_usd), count(*) filter (debt_usd is null), count(*) filter (collateral_usd is null),
      min(time), max(time)
    from '{files}' group by all
    """


def by_user(files):
    return f"""
    select user, count(*), sum(debt_usd) as value, sum(collateral_usd), sum(collateral_usd - debt_usd)
    from '{files}' group by user order by value desc limit 20
    """


def ours(*arguments):
    """Runs the program; its wall seconds, CPU seconds, peak memory in MiB.

    A child's peak counts what its parent held when it was started, so this process imports nothing large.
    """
    began = time.time()
    process = subprocess.Popen([BINARY, "--archive", ARCHIVE, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"error: {arguments[0]} failed")
    return time.time() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def theirs(code):
    """Runs Python code in a process of its own, as ours is; likewise. Memory is limited to the same 512 MiB."""
    prelude = f"import duckdb; c = duckdb.connect(); c.execute(\"set threads={os.cpu_count()}; set memory_limit='512MB'; set preserve_insertion_order=false; set enable_progress_bar=false\");"
    began = time.time()
    process = subprocess.Popen([sys.executable, "-c", prelude + code])
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        return None
    return time.time() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def least(run, times=RUNS):
    runs = [result for result in (run() for _ in range(times)) if result]
    return tuple(min(column) for column in zip(*runs)) if runs else None


def show(name, mine, other, rows=ROWS):
    wall, cpu, memory = mine
    print(f"{name}", flush=True)
    print(f"  tidegate  {wall:8.2f} s wall {cpu:8.2f} CPU-s {memory:6.0f} MiB peak {rows / wall:12,.0f} rows/s")
    if other is None:
        print("  DuckDB    did not finish within its 512 MB")
        return
    print(f"  DuckDB    {other[0]:8.2f} s wall {other[1]:8.2f} CPU-s {other[2]:6.0f} MiB peak {rows / other[0]:12,.0f} rows/s")
    print(f"  ratio     {wall / other[0]:8.2f} of its wall, {cpu / other[1]:.2f} of its CPU time (less is better)")


def main():
    if not os.path.exists(INPUT):
        print(f"making {ROWS:,} synthetic rows …")
        theirs(f"c.execute(\"set memory_limit='4GB'; set preserve_insertion_order=true\"); c.execute({GENERATE.replace(INPUT, INPUT + '.part')!r})")
        os.rename(INPUT + ".part", INPUT)
    subprocess.run(["rm", "-rf", ARCHIVE], check=True)
    arguments = ["import", "liquidations", INPUT, "--dataset", "bench", "--amounts", "tokens"]
    show(f"import of {ROWS:,} rows (Parquet of texts)", ours(*arguments), theirs(f"c.execute({IMPORT!r})"))
    files = f"{ARCHIVE}/imports/dataset=bench/liquidations/*.parquet"
    stored = sum(entry.stat().st_size for entry in os.scandir(os.path.dirname(files)))
    sys.stdout.flush()
    print(f"  stored    {stored / ROWS:.1f} bytes a row, all columns; the input has {os.path.getsize(INPUT) / ROWS:.1f}; "
          f"DuckDB's own file of fewer columns {os.path.getsize(f'{FOLDER}/duckdb.parquet') / ROWS:.1f}" if os.path.exists(f"{FOLDER}/duckdb.parquet") else "")
    mine = least(lambda: ours("liquidations", "--by", "chain,month"))
    show("group by chain and month, with distinct users", mine, least(lambda: theirs(f"c.execute({group_by(files)!r}).fetchall()")))
    decode = f"import pyarrow, pyarrow.parquet as p, glob; pyarrow.set_cpu_count({os.cpu_count()})\nfor f in glob.glob({files!r}):\n  for b in p.ParquetFile(f).iter_batches(columns={COLUMNS!r}): pass"
    floor = least(lambda: theirs("0;\n" + decode))
    print(f"  floor     {floor[0]:8.2f} s wall {floor[1]:8.2f} CPU-s merely to decode these columns (Arrow C++, start of Python included); "
          f"tidegate takes {mine[1] / floor[1]:.1f} times that CPU time", flush=True)
    compressed = f"""select sum(total_compressed_size) from parquet_metadata('{files}') where path_in_schema in {tuple(COLUMNS)}"""
    theirs(f"print('  read      %.1f bytes a row from disk for these columns' % (c.execute({compressed!r}).fetchone()[0] / {ROWS}), flush=True)")
    show("group by user, the 20 of the most value (groups written to disk)",
         least(lambda: ours("liquidations", "--by", "user", "--top", "20")),
         least(lambda: theirs(f"c.execute({by_user(files)!r}).fetchall()")))


main()
