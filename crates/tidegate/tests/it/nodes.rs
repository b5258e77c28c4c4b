//! `tidegate sync` against nodes that are absent, of the wrong kind, poor, slow or at odds; by every way a node is reached;
//! and interrupted. Whatever is wrong is said in one line, and what was read is kept.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use alloy_primitives::{Address, Bytes};
use differential::anvil::{self, Anvil, Options};
use differential::artifacts::{self, Artifacts};
use differential::chain::Chain;
use differential::deploy::BEGIN;
use differential::evm::ADMIN;
use differential::proxy::{Fault, Proxy, RANGE_TEXTS, When};
use differential::world::{Version, World};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

use crate::support::{Bed, Ran, command, every_file, parquet_files};

/// Steps of a life: enough for debts.
const STEPS: usize = 150;

/// Contracts and a node to put them on, or none and a word about it.
pub(crate) fn parts() -> Option<(Artifacts, PathBuf)> {
    let (Some(artifacts), Some(binary)) = (artifacts::find().unwrap(), anvil::find()) else {
        println!(
            "skipped: no contracts or no anvil are installed; `cargo xtask test` installs them where they are offered"
        );
        return None;
    };
    Some((artifacts, binary))
}

/// A life on a node.
fn chain(version: Version) -> Option<Chain> {
    let (artifacts, binary) = parts()?;
    let mut chain = Chain::start(&binary, &artifacts, World::random(version, 1), 1).unwrap();
    chain.live(STEPS).unwrap();
    Some(chain)
}

/// The words of a sync of a market that is in no list.
fn words<'a>(provider: &'a str, urls: &'a [&'a str], more: &'a [&'a str]) -> Vec<&'a str> {
    let mut args = vec!["sync", "--market", "m", "--chain", "31337", "--provider", provider];
    urls.iter().for_each(|url| args.extend(["--rpc", url]));
    args.extend(more);
    args
}

fn run(archive: &Path, args: &[&str]) -> Ran {
    let mut command = command(archive, args);
    command.env_remove("TIDEGATE_RPC");
    Ran::of(command)
}

/// Fails, with one line that is an error; notes before it are no errors.
fn refused(ran: &Ran, what: &str, says: &[&str]) {
    assert_eq!(ran.code, Some(1), "{what}: {ran:?}");
    let lines: Vec<&str> = ran.err.lines().filter(|line| !line.starts_with("note: ")).collect();
    assert!(lines.len() == 1 && lines[0].starts_with("error: "), "{what}: {}", ran.err);
    for words in says {
        assert!(lines[0].contains(words), "{what}: no {words:?} in {}", lines[0]);
    }
}

fn synced(archive: &Path, args: &[&str]) -> Ran {
    let ran = run(archive, args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// Every account as the program shows it.
pub(crate) fn positions(archive: &Path) -> String {
    let ran = run(archive, &["positions", "--top", "0", "--format", "json"]);
    assert!(ran.code == Some(0) && ran.out.contains("health_factor"), "{ran:?}");
    ran.out
}

const NOBODY: &str = "0x00000000000000000000000000000000000000aa";

/// A place where somebody listens who is no node and says the same to everyone.
fn page(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut begin = [0; 4_096];
            let _ = stream.read(&mut begin);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

const HTML: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 33\r\nConnection: close\r\n\r\n\
                    <html><body>Hello!</body></html>\n";

#[test]
fn who_is_no_node_is_told_from_one() {
    let bed = Bed::new();
    let archive = bed.archive();
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let dead = format!("http://{closed}");
    refused(&run(&archive, &words(NOBODY, &[], &[])), "no endpoint", &["chain 31337", "--rpc URL"]);
    refused(&run(&archive, &words(NOBODY, &[&dead], &[])), "nobody listens", &[&closed, "refused", "another endpoint"]);
    let dead = format!("ws://{closed}");
    refused(&run(&archive, &words(NOBODY, &[&dead], &[])), "no web socket", &[&closed, "refused", "another endpoint"]);
    let dead = bed.path("none.ipc");
    refused(&run(&archive, &words(NOBODY, &[dead.to_str().unwrap()], &[])), "no socket", &["ipc", "socket"]);
    let html = page(HTML);
    refused(&run(&archive, &words(NOBODY, &[&html], &[])), "a page", &["127.0.0.1", "eth_chainId", "another one"]);
    for (bad, says) in [("node.example", "neither a URL"), ("ftp://node.example", "scheme"), ("", "neither a URL")] {
        refused(&run(&archive, &words(NOBODY, &[bad], &[])), "no endpoint at all", &[says, "http://"]);
    }
    let bad = run(&archive, &["sync", "--market", "m", "--provider", NOBODY, "--rpc", &html]);
    refused(&bad, "no chain", &["--chain"]);
    let bad = run(&archive, &["sync", "--market", "polygon-v9", "--rpc", &html]);
    refused(&bad, "no market", &["polygon-v9", "polygon-v3", "--provider"]);
    let bad = run(&archive, &["sync", "--market", "m", "--provider", "0x12", "--chain", "1", "--rpc", &html]);
    refused(&bad, "no address", &["0x12", "20 bytes"]);
    assert!(parquet_files(&archive).is_empty());
}

#[test]
fn what_is_wrong_with_a_node_or_a_market_is_said_in_one_line() {
    let Some(mut chain) = chain(Version::V3_6) else { return };
    let (url, address) = (chain.url().unwrap(), chain.node().unwrap().address());
    let provider = chain.market.provider.to_string();
    let bed = Bed::new();
    let archive = bed.archive();
    let (pool, token) = (chain.market.pool.to_string(), chain.market.reserves[0].a_token.to_string());
    let asset = chain.market.reserves[0].asset.to_string();
    for (what, wrong, says) in [
        ("no code", NOBODY, [NOBODY, "no contract"]),
        ("a pool", &pool, ["belongs to the market", &provider]),
        ("a token", &token, ["token of the pool", &pool]),
        ("something else", &asset, ["no addresses provider", "PoolAddressesProvider"]),
    ] {
        let says = says.map(str::to_lowercase);
        let mut ran = run(&archive, &words(wrong, &[&url], &["--finality", "0"]));
        ran.err = ran.err.to_lowercase();
        refused(&ran, what, &says.each_ref().map(String::as_str));
    }
    let proxy = Proxy::start(address).unwrap();
    let (sick, last) = (proxy.url(), chain.node().unwrap().latest().unwrap());
    proxy.add(Fault::Chain(5), When::Always);
    let ran = run(&archive, &words(&provider, &[&sick], &[]));
    refused(&ran, "another chain", &["serves chain 5 and not 31337", "name the right chain"]);
    // Beside one of the right chain it is left out, which is said.
    let ran = synced(&bed.path("other"), &words(&provider, &[&sick, &url], &["--finality", "0"]));
    assert!(ran.err.contains("note: ") && ran.err.contains("left out"), "{}", ran.err);
    proxy.clear();
    // The chain began years ago and stands still since.
    assert!(ran.err.contains("behind this machine's clock"), "{}", ran.err);
    proxy.add(Fault::Pruned(last), When::Always);
    let ran = run(&archive, &words(&provider, &[&sick], &["--finality", "0"]));
    refused(&ran, "a first block that is not to be had", &["first block", "--from-block", "archive node"]);
    let from_one = ["--finality", "0", "--from-block", "0"];
    let ran = run(&archive, &words(&provider, &[&sick], &from_one));
    refused(&ran, "no state", &["does not have the state at block", "archive endpoint"]);
    assert!(!parquet_files(&archive.join("logs")).is_empty(), "the logs are kept");
    let before = parquet_files(&archive.join("logs"));
    synced(&archive, &words(&provider, &[&url], &from_one));
    assert_eq!(parquet_files(&archive.join("logs")), before, "and not read again");
    assert_eq!(positions(&archive), positions(&bed.path("other")));
}

#[test]
fn endpoints_that_disagree_are_told_apart() {
    let Some(mut chain) = chain(Version::V3_6) else { return };
    let (url, provider) = (chain.url().unwrap(), chain.market.provider.to_string());
    let mut fork = Anvil::start(&parts().unwrap().1, Options::beginning(BEGIN)).unwrap();
    fork.mine(chain.node().unwrap().latest().unwrap()).unwrap();
    let bed = Bed::new();
    let ran = run(&bed.archive(), &words(&provider, &[&url, &fork.url()], &[]));
    let hosts = [url.as_str(), &fork.url()].map(|url| url.trim_start_matches("http://").to_owned());
    refused(&ran, "a fork", &["disagree about block", &hosts[0], &hosts[1], "leave it out"]);
}

/// A stand-in for a pool's code: it says that it is revision 99, takes every beginning for granted, and hands all else on.
fn stand_in(behind: Address) -> Bytes {
    let selector = |signature: &str| differential::abi::selector(signature);
    let mut code = vec![0x60, 0, 0x35, 0x60, 0xe0, 0x1c];
    // Where the two answers begin is known at the end.
    let mut jumps = Vec::new();
    for signature in ["POOL_REVISION()", "initialize(address)"] {
        code.extend([0x80, 0x63]);
        code.extend(selector(signature));
        code.extend([0x14, 0x61]);
        jumps.push(code.len());
        code.extend([0, 0, 0x57]);
    }
    code.extend([0x36, 0x60, 0, 0x60, 0, 0x37, 0x60, 0, 0x60, 0, 0x36, 0x60, 0, 0x73]);
    code.extend(behind.as_slice());
    code.extend([0x5a, 0xf4, 0x3d, 0x60, 0, 0x60, 0, 0x3e, 0x61]);
    let done = code.len();
    code.extend([0, 0, 0x57, 0x3d, 0x60, 0, 0xfd]);
    let begin = |code: &mut Vec<u8>, place: usize| {
        let at = u16::try_from(code.len()).unwrap().to_be_bytes();
        code[place..place + 2].copy_from_slice(&at);
        code.push(0x5b);
    };
    begin(&mut code, done);
    code.extend([0x3d, 0x60, 0, 0xf3]);
    begin(&mut code, jumps[0]);
    code.extend([0x60, 99, 0x60, 0, 0x52, 0x60, 0x20, 0x60, 0, 0xf3]);
    begin(&mut code, jumps[1]);
    code.push(0);
    code.into()
}

#[test]
fn a_fork_whose_code_nobody_knows_keeps_its_logs_and_tells_no_positions() {
    let Some(mut chain) = chain(Version::V3_6) else { return };
    let (url, provider, pool) = (chain.url().unwrap(), chain.market.provider, chain.market.pool);
    let bed = Bed::new();
    let provider_text = provider.to_string();
    let args = words(&provider_text, &[], &["--finality", "0"]);
    let args = [&args[..], &["--rpc", &url]].concat();
    synced(&bed.archive(), &args);
    let before = positions(&bed.archive());
    // The pool's owner puts code in place that is in no table.
    let slot = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc";
    let node = chain.node().unwrap();
    let held = node.request("eth_getStorageAt", json!([pool.to_string(), slot, "latest"])).unwrap();
    let implementation = format!("0x{}", &held.as_str().unwrap()[26..]);
    let code = node.request("eth_getCode", json!([implementation, "latest"])).unwrap();
    let (copy, unknown) = (Address::repeat_byte(0x77), Address::repeat_byte(0x99));
    node.place(copy, &code.as_str().unwrap().parse().unwrap()).unwrap();
    node.place(unknown, &stand_in(copy)).unwrap();
    let set = differential::abi::call("setPoolImpl(address)", &[unknown.into()]);
    node.call(ADMIN, provider, set).unwrap().unwrap();
    chain.live(10).unwrap();
    let ran = run(&bed.archive(), &args);
    refused(&ran, "an unknown code", &["revision 99", "logs and liquidations are kept", "positions cannot be told"]);
    let kept = parquet_files(&bed.archive().join("logs"));
    refused(&run(&bed.archive(), &args), "again", &["revision 99"]);
    assert_eq!(parquet_files(&bed.archive().join("logs")), kept, "nothing was read twice");
    // What was before it stands.
    assert_eq!(positions(&bed.archive()), before);
    let fresh = run(&bed.path("fresh"), &args);
    refused(&fresh, "from the beginning", &["revision 99", "positions cannot be told"]);
    assert!(fresh.err.contains("note: the pool's code is unknown (revision 99)"), "{}", fresh.err);
}

const SECRET: &str = "s3cr3tkey";

/// Nothing the program says or writes holds a key.
fn hides(ran: &Ran, archive: &Path, what: &str) {
    assert!(!ran.out.contains(SECRET) && !ran.err.contains(SECRET), "{what}: {ran:?}");
    for file in every_file(archive) {
        assert!(!file.to_string_lossy().contains(SECRET), "{what}: {}", file.display());
        let bytes = std::fs::read(&file).unwrap();
        let holds = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!holds(&bytes), "{what}: {}", file.display());
    }
    // What is compressed is looked at as rows.
    for file in parquet_files(archive) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file).unwrap()).unwrap();
        for batch in reader.with_batch_size(8).build().unwrap() {
            assert!(!format!("{:?}", batch.unwrap()).contains(SECRET), "{what}: {}", file.display());
        }
    }
}

#[test]
fn a_key_in_an_endpoint_is_never_shown_or_kept() {
    let bed = Bed::new();
    let with_key = |url: &str| {
        let (scheme, host) = url.split_once("://").unwrap();
        format!("{scheme}://{SECRET}:{SECRET}@{host}/v2/{SECRET}?key={SECRET}")
    };
    for args in [&["sync", "--help"][..], &["verify", "--help"], &["import", "logs", "--help"], &["sync"], &["--help"]]
    {
        let mut command = bed.command(args);
        command.env("TIDEGATE_RPC", with_key("https://node.example"));
        hides(&Ran::of(command), &bed.archive(), "help");
    }
    for url in [
        page(HTML),
        page("HTTP/1.1 401 Unauthorized\r\nContent-Length: 14\r\n\r\nbad: s3cr3tkey"),
        "ftp://a".to_owned(),
    ] {
        let ran = run(&bed.archive(), &words(NOBODY, &[&with_key(&url)], &[]));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        hides(&ran, &bed.archive(), "no node");
    }
    let Some(mut chain) = chain(Version::V3_6) else { return };
    let provider = chain.market.provider.to_string();
    let proxy = Proxy::start(chain.node().unwrap().address()).unwrap();
    let url = with_key(&proxy.url());
    for fault in [Fault::Chain(5), Fault::Unavailable, Fault::NoBatches] {
        proxy.clear();
        proxy.add(fault, When::First(6));
        hides(&run(&bed.archive(), &words(&provider, &[&url], &["--finality", "0"])), &bed.archive(), "faults");
    }
    proxy.clear();
    let ran = synced(&bed.archive(), &words(&provider, &[&url], &["--finality", "0"]));
    hides(&ran, &bed.archive(), "a sync");
    assert!(!parquet_files(&bed.archive().join("reads")).is_empty(), "answers with their hosts were written");
    let mut command = bed.command(&["verify", "--accounts", "all", "--format", "json"]);
    command.env("TIDEGATE_RPC", &url);
    let ran = Ran::of(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    hides(&ran, &bed.archive(), "a proof");
}

#[test]
fn a_node_is_reached_by_web_socket_and_by_a_socket_of_this_machine() {
    let Some((artifacts, binary)) = parts() else { return };
    let bed = Bed::new();
    let ipc = bed.path("node.ipc");
    let more = format!("--ipc={}", ipc.display());
    let node = Anvil::start_with(&binary, Options::beginning(BEGIN), &[&more]).unwrap();
    let mut chain = Chain::with(node, &artifacts, World::random(Version::V3_0_2, 1), 1).unwrap();
    chain.live(STEPS).unwrap();
    let (url, provider) = (chain.url().unwrap(), chain.market.provider.to_string());
    let web = url.replace("http://", "ws://");
    let mut seen = Vec::new();
    for (name, url) in [("http", url.as_str()), ("ws", &web), ("ipc", ipc.to_str().unwrap())] {
        let archive = bed.path(name);
        synced(&archive, &words(&provider, &[url], &["--finality", "0"]));
        seen.push(positions(&archive));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

#[test]
fn a_disk_that_is_full_or_may_not_be_written_is_said_and_nothing_is_lost() {
    let Some(mut chain) = chain(Version::V3_6) else { return };
    let (url, provider) = (chain.url().unwrap(), chain.market.provider.to_string());
    let args = words(&provider, &[], &["--finality", "0"]);
    let args = [&args[..], &["--rpc", &url]].concat();
    let bed = Bed::new();
    let disk = bed.path("disk");
    let Some(mounted) = crate::bad_input::Mounted::at("a full disk", &disk, "size=128k") else { return };
    let archive = disk.join("archive");
    std::fs::create_dir(&archive).unwrap();
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; 112 << 10]).unwrap();
    refused(&run(&archive, &args), "a full disk", &["the disk is full", "run the same command again"]);
    assert!(parquet_files(&archive).iter().all(|file| crate::support::row_count(file) < usize::MAX));
    mounted.remount("size=4m");
    std::fs::remove_file(&ballast).unwrap();
    synced(&archive, &args);
    let shown = positions(&archive);
    mounted.remount("ro");
    refused(&run(&archive, &args), "read-only", &["read-only", "choose another place"]);
    assert_eq!(positions(&archive), shown);
}

/// The program with a limit to how long its files get, in the shell's blocks: it is refused in the middle of a file as by a disk
/// that is full there.
#[cfg(unix)]
fn limited(blocks: u32, archive: &Path, args: &[&str]) -> Ran {
    let program = command(archive, args);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\""]).arg(blocks.to_string());
    shell.arg(program.get_program()).args(program.get_args()).env_remove("TIDEGATE_RPC");
    Ran::of(shell)
}

#[cfg(unix)]
#[test]
fn a_disk_that_refuses_in_the_middle_of_any_file_costs_no_more_than_that_file() {
    let Some(mut chain) = chain(Version::V3_6) else { return };
    let (url, provider) = (chain.url().unwrap(), chain.market.provider.to_string());
    let args = words(&provider, &[], &["--finality", "0"]);
    let args = [&args[..], &["--rpc", &url]].concat();
    let bed = Bed::new();
    let (archive, pure) = (bed.archive(), bed.path("pure"));
    for table in ["logs", "reads", "transactions", "tables"] {
        // What is taken away is made anew, and everything before it is there.
        let _ = std::fs::remove_dir_all(archive.join(table));
        let (mut blocks, mut refusals) = (1, 0);
        loop {
            let ran = limited(blocks, &archive, &args);
            if ran.code == Some(0) {
                break;
            }
            refused(&ran, table, &["beyond the allowed size", "free space"]);
            refusals += u64::from(ran.err.contains(&format!("/{table}/market=m/")));
            // Whatever has a name is whole.
            assert!(parquet_files(&archive).iter().all(|file| crate::support::row_count(file) < usize::MAX));
            blocks += blocks.div_ceil(3);
        }
        println!("{table}: refused {refusals} times, then {blocks} blocks were enough");
        assert!(refusals > 0, "nothing was refused of {table}");
    }
    let parts = every_file(&archive).into_iter().filter(|path| path.extension().is_some_and(|end| end == "part"));
    assert_eq!(parts.count(), 0, "nothing half done is left");
    synced(&pure, &args);
    assert_eq!(positions(&archive), positions(&pure));
}

/// A program at work whose words can be waited for.
struct AtWork {
    child: Child,
    lines: Receiver<String>,
}

impl AtWork {
    fn start(archive: &Path, args: &[&str]) -> Self {
        let mut command = command(archive, args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let errors = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || errors.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        Self { child, lines }
    }

    /// Waits for a line on standard error.
    fn says(&self, words: &str) -> String {
        let mut said = Vec::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("it never said {words:?}, but {said:?}"));
            if line.contains(words) {
                return line;
            }
            said.push(line);
        }
    }

    fn interrupt(&self) {
        let done = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// What it ended with, and what it wrote to standard output.
    fn ended(mut self) -> (Option<i32>, String) {
        self.lines.iter().for_each(|line| println!("{line}"));
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        (self.child.wait().unwrap().code(), out)
    }
}

fn waits_until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it never came to that");
}

#[cfg(unix)]
#[test]
fn an_interrupted_sync_keeps_what_it_read_and_a_second_interrupt_ends_it_at_once() {
    let Some(mut chain) = chain(Version::V3_6) else { return };
    let (url, provider) = (chain.url().unwrap(), chain.market.provider.to_string());
    let proxy = Proxy::start(chain.node().unwrap().address()).unwrap();
    let slow = proxy.url();
    // Block by block, each of them slowly: far more than what comes before the interrupt.
    proxy.add(Fault::Range(1, RANGE_TEXTS[0]), When::Always);
    let bed = Bed::new();
    let archive = bed.archive();
    let more = ["--finality", "0", "--from-block", "0"];
    let learns = [&more[..], &["--max-requests", "500"]].concat();
    refused(&run(&archive, &words(&provider, &[&slow], &learns)), "a budget", &["requests were made", "go on later"]);
    let stall = proxy.add_to(Fault::Stall(Duration::from_millis(400)), When::Always, Some("eth_getLogs"));
    let work = AtWork::start(&archive, &words(&provider, &[&slow], &more));
    waits_until(|| proxy.fired(stall) >= 40);
    work.interrupt();
    work.says("stopping: what is being read is finished first");
    work.says("the same command goes on from there");
    let (code, out) = work.ended();
    assert!(code == Some(130) && out.contains("Synced m"), "{code:?} {out}");
    let kept = parquet_files(&archive.join("logs"));
    assert!(!kept.is_empty(), "what was read is kept: {out} {:?}", every_file(&archive));
    // The second ends at once what is not to be had for long.
    proxy.clear();
    let stall = proxy.add_to(Fault::Stall(Duration::from_secs(30)), When::Always, Some("eth_getLogs"));
    let work = AtWork::start(&archive, &words(&provider, &[&slow], &more));
    waits_until(|| proxy.fired(stall) >= 1);
    work.interrupt();
    work.says("stopping");
    work.interrupt();
    let (code, out) = work.ended();
    assert!(code == Some(130) && out.is_empty(), "{code:?} {out}");
    synced(&archive, &words(&provider, &[&url], &more));
    assert!(kept.iter().all(|file| file.exists()), "what was read was not read again");
    synced(&bed.path("pure"), &words(&provider, &[&url], &more));
    assert_eq!(positions(&archive), positions(&bed.path("pure")));
}

#[cfg(unix)]
#[test]
fn whoever_follows_ends_by_an_interrupt_and_has_missed_nothing() {
    let Some(mut chain) = chain(Version::V3_6) else { return };
    let (url, provider) = (chain.url().unwrap(), chain.market.provider.to_string());
    let bed = Bed::new();
    let archive = bed.archive();
    let work = AtWork::start(&archive, &words(&provider, &[&url], &["--finality", "4", "--follow"]));
    for _ in 0..3 {
        chain.live(8).unwrap();
        let last = chain.node().unwrap().latest().unwrap();
        work.says(&format!("block {last}: "));
    }
    work.interrupt();
    let (code, out) = work.ended();
    let last = chain.node().unwrap().latest().unwrap();
    assert!(code == Some(0) && out.contains("Synced m"), "{code:?} {out}");
    assert!(!every_file(&archive.join("head")).is_empty(), "the blocks that are not final are kept");
    let to = (last - 4).to_string();
    let again = synced(&archive, &words(&provider, &[&url], &["--finality", "0", "--to-block", &to]));
    synced(&bed.path("pure"), &words(&provider, &[&url], &["--finality", "0", "--to-block", &to]));
    assert_eq!(positions(&archive), positions(&bed.path("pure")), "{again:?}");
}

#[test]
fn whoever_does_not_follow_keeps_no_block_that_is_not_final() {
    let Some(mut chain) = chain(Version::V3_6) else { return };
    let (url, provider) = (chain.url().unwrap(), chain.market.provider.to_string());
    let last = chain.node().unwrap().latest().unwrap();
    let bed = Bed::new();
    let ran = synced(&bed.archive(), &words(&provider, &[&url], &["--finality", "30"]));
    assert!(ran.out.contains(&last.to_string()), "the newest block is told: {}", ran.out);
    assert!(every_file(&bed.archive().join("head")).is_empty(), "nobody would ever read it");
}
