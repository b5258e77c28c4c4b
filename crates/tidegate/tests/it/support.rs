//! What the tests share: a place to work in, the program to run, Parquet to read back, made-up events.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, UInt8Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A folder of its own with an archive in it; gone when dropped.
pub(crate) struct Bed {
    folder: tempfile::TempDir,
}

/// What the program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.path("archive")
    }

    /// Writes a file and says where.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The program, about to work on this archive.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        command(&self.archive(), args)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args))
    }

    /// Imports a file into dataset `d` with amounts in tokens, and more options.
    pub(crate) fn import(&self, file: &Path, options: &[&str]) -> Ran {
        let mut command = self.command(&["import", "liquidations"]);
        command.arg(file).args(options);
        for (option, value) in [("--dataset", "d"), ("--amounts", "tokens")] {
            if !options.contains(&option) {
                command.args([option, value]);
            }
        }
        Ran::of(command)
    }

    /// The report of a command that must succeed.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let mut all = args.to_vec();
        all.extend(["--format", "json"]);
        let ran = self.run(&all);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    }

    /// All visible Parquet files of a table of a dataset, sorted.
    pub(crate) fn files(&self, dataset: &str, table: &str) -> Vec<PathBuf> {
        parquet_files(&self.archive().join("imports").join(format!("dataset={dataset}")).join(table))
    }

    /// The rows of a table of dataset `d`, file by file.
    pub(crate) fn rows(&self, table: &str) -> Vec<Row> {
        self.files("d", table).iter().flat_map(|file| read(file).1).collect()
    }
}

pub(crate) fn command(archive: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("--archive").arg(archive).args(args);
    command.env_remove("TIDEGATE_ARCHIVE");
    command
}

impl Ran {
    pub(crate) fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        Self { code: status.code(), out: String::from_utf8(stdout).unwrap(), err: String::from_utf8(stderr).unwrap() }
    }

    /// It failed, with one line that holds all of `says`.
    pub(crate) fn refused(&self, what: &str, says: &[&str]) {
        assert_eq!(self.code, Some(1), "{what}: {self:?}");
        let lines: Vec<&str> = self.err.lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with("error: "), "{what}: {}", self.err);
        for words in says {
            assert!(lines[0].contains(words), "{what}: no {words:?} in {}", lines[0]);
        }
    }

    pub(crate) fn succeeded(&self) -> &Self {
        assert!(self.code == Some(0) && self.err.is_empty(), "{self:?}");
        self
    }
}

/// Every visible Parquet file under a folder, sorted; none where there is no folder.
pub(crate) fn parquet_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = every_file(folder);
    found.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.ends_with(".parquet") && !name.starts_with('.')
    });
    found
}

/// Every file under a folder, sorted.
pub(crate) fn every_file(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(every_file(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A row by column; what is null is absent.
pub(crate) type Row = BTreeMap<String, String>;

/// Reads a Parquet file whole, every page of it.
pub(crate) fn read(path: &Path) -> (SchemaRef, Vec<Row>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap())
        .unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    let schema = reader.schema().clone();
    let mut rows = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
        rows.extend((0..batch.num_rows()).map(|row| row_of(&batch, row)));
    }
    (schema, rows)
}

/// How many rows a Parquet file has, after reading every page of it.
pub(crate) fn row_count(path: &Path) -> usize {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let batches = reader.build().unwrap();
    batches.map(|batch| batch.unwrap_or_else(|cause| panic!("{}: {cause}", path.display())).num_rows()).sum()
}

/// A file's footer, the pairs that begin with `tidegate.`.
pub(crate) fn footer(path: &Path) -> BTreeMap<String, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let pairs = reader.metadata().file_metadata().key_value_metadata().cloned();
    let pairs = pairs.into_iter().flatten();
    pairs.filter_map(|pair| Some((pair.key.strip_prefix("tidegate.")?.to_owned(), pair.value?))).collect()
}

fn row_of(batch: &RecordBatch, row: usize) -> Row {
    let schema = batch.schema();
    let cells = schema.fields().iter().zip(batch.columns());
    cells.filter_map(|(field, column)| Some((field.name().clone(), cell(column, row)?))).collect()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the archive has no other types")]
fn cell(array: &ArrayRef, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Timestamp(..) => array.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).to_string(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Binary => String::from_utf8_lossy(array.as_binary::<i32>().value(row)).into_owned(),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::FixedSizeBinary(_) => hex(array.as_fixed_size_binary().value(row)),
        DataType::Dictionary(..) => {
            let words = array.as_dictionary::<Int32Type>();
            let place = usize::try_from(words.keys().value(row)).unwrap();
            words.values().as_string::<i32>().value(place).to_owned()
        }
        other => panic!("the archive has no column of type {other}"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Numbers that look random and are the same for the same seed on every machine (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Chance(pub u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

/// The seed of tests that draw by chance: `TIDEGATE_SEED`, or a fixed one. It is printed, so that a failure can be repeated.
pub(crate) fn seed() -> u64 {
    let seed = number_from("TIDEGATE_SEED").unwrap_or(20_210_519);
    println!("seed: TIDEGATE_SEED={seed}");
    seed
}

pub(crate) fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}=\"{text}\" is no number")))
}

/// A user's address.
pub(crate) fn address(number: u64) -> String {
    format!("0x{number:040x}")
}

/// US dollars of eight decimals from decimal text.
pub(crate) fn usd8(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<8}").parse().unwrap()
}

/// US dollars of eight decimals as decimal text, as the program writes them.
pub(crate) fn usd_text(usd8: i128) -> String {
    format!("{}.{:08}", usd8 / 100_000_000, usd8 % 100_000_000)
}

/// The heading of [`Event::csv`].
pub(crate) const HEADING: &str = "timestamp,chain,market,tx_hash,log_index,user,liquidator,debt_symbol,debt_amount,debt_usd,collateral_symbol,collateral_amount,collateral_usd";

/// A made-up liquidation whose amounts and values are text or absent.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub second: i64,
    pub chain: &'static str,
    pub market: &'static str,
    pub number: u64,
    pub user: u64,
    pub liquidator: Option<u64>,
    pub debt: &'static str,
    pub debt_amount: String,
    pub debt_usd: Option<i128>,
    pub collateral: &'static str,
    pub collateral_amount: String,
    pub collateral_usd: Option<i128>,
}

impl Event {
    /// An event drawn by chance from a year and a few tokens, with `users` users; its `number` tells it from all others.
    pub(crate) fn draw(chance: &mut Chance, number: u64, users: u64) -> Self {
        let debt_usd = chance.below(1 << chance.clone().below(34)) + 1;
        let whole = chance.below(5_000);
        Self {
            second: 1_609_459_200 + i64::try_from(chance.below(365 * 86_400)).unwrap(),
            chain: chance.pick(&["ethereum", "polygon", "arbitrum"]),
            market: chance.pick(&["aave_v2", "aave_v3", "aave_v2_amm"]),
            number,
            user: chance.below(users) + 1,
            liquidator: Some(chance.below(20) + 1).filter(|account| *account > 3),
            debt: chance.pick(&["USDC", "DAI", "GUSD_"]),
            debt_amount: format!("{whole}.{:06}", chance.below(1_000_000)),
            debt_usd: Some(i128::from(debt_usd) * 1_000_003).filter(|usd| usd % 11 != 0),
            collateral: chance.pick(&["WETH", "WBTC"]),
            collateral_amount: format!("{}.{:08}", chance.below(90), chance.below(100_000_000)),
            collateral_usd: Some(i128::from(debt_usd) * if debt_usd.is_multiple_of(5) { 940_003 } else { 1_070_003 })
                .filter(|usd| usd % 7 != 0),
        }
    }

    pub(crate) fn csv(&self) -> String {
        let usd = |usd: Option<i128>| usd.map_or_else(String::new, usd_text);
        format!(
            "{},{},{},0x{:064x},{},{},{},{},{},{},{},{},{}",
            self.second,
            self.chain,
            self.market,
            self.number / 4,
            self.number % 4,
            address(self.user),
            self.liquidator.map_or_else(String::new, address),
            self.debt,
            self.debt_amount,
            usd(self.debt_usd),
            self.collateral,
            self.collateral_amount,
            usd(self.collateral_usd),
        )
    }
}

/// A CSV file of events.
pub(crate) fn csv<'a>(events: impl IntoIterator<Item = &'a Event>) -> String {
    let lines = events.into_iter().map(|event| event.csv() + "\n");
    format!("{HEADING}\n{}", lines.collect::<String>())
}

/// Rows of a table in a JSON report.
pub(crate) fn table<'a>(report: &'a serde_json::Value, name: &str) -> &'a Vec<serde_json::Value> {
    report["tables"][name]["rows"].as_array().unwrap_or_else(|| panic!("no table {name} in {report}"))
}
