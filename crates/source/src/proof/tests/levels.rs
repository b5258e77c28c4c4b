//! Every level over a client, against a node that is honest or leaves logs out: the table of `proof`, gone through.

use protocol::{Address, B256};

use super::chain::{World, serve};
use crate::log::{Log, Logs};
use crate::proof::compare::Fault;
use crate::proof::plan::{Choice, Plan};
use crate::proof::run::{prove_bloom, prove_receipts, second_opinion};
use crate::proof::{Catch, Level, Omission, Report, expected};
use crate::rpc::Filter;

/// The pool's address, and the topics of a liquidation and of a supply; a stranger's contract, and what it says.
const POOL: u8 = 1;
const LIQUIDATION: u8 = 11;
const SUPPLY: u8 = 12;
const STRANGER: u8 = 9;
const NEWS: u8 = 99;

/// Six blocks: nothing, one supply, liquidation and supply, two liquidations, a stranger's news, all at once.
fn world() -> World {
    World::of(&[
        &[],
        &[(POOL, &[SUPPLY])],
        &[(POOL, &[SUPPLY, 3]), (STRANGER, &[NEWS]), (POOL, &[LIQUIDATION])],
        &[(POOL, &[LIQUIDATION]), (POOL, &[LIQUIDATION])],
        &[(STRANGER, &[NEWS])],
        &[(STRANGER, &[NEWS]), (POOL, &[SUPPLY]), (STRANGER, &[]), (POOL, &[LIQUIDATION])],
    ])
}

fn filter() -> Filter {
    Filter {
        addresses: [Address::repeat_byte(POOL)].into(),
        topics: [LIQUIDATION, SUPPLY].map(B256::repeat_byte).into(),
    }
}

fn taken(logs: &Logs) -> Logs {
    let mut taken = Logs::default();
    logs.iter().filter(|log| filter().takes(log)).for_each(|log| taken.push(&log));
    taken
}

fn all() -> Plan {
    Plan { from: 0, to: 5, choice: Choice::All }
}

/// What each level says of held logs, with a node behind it.
struct Opinions {
    second: Report,
    bloom: Report,
    receipts: Report,
}

/// A report of a run that got to the end.
fn whole((report, ended): (Report, crate::Result<()>)) -> Report {
    ended.unwrap();
    assert_eq!(report.through, Some(5));
    report
}

async fn opinions(held: &Logs, node: World) -> Opinions {
    let (client, _) = serve(node).await;
    let mut reader = |from: u64, to: u64| {
        let mut logs = Logs::default();
        held.iter().filter(|log| (from..=to).contains(&log.block)).for_each(|log| logs.push(&log));
        Ok(logs)
    };
    Opinions {
        second: whole(second_opinion(&client, &filter(), &mut reader, &[0..=2, 3..=5], &mut |_| {}).await),
        bloom: whole(prove_bloom(&client, &filter(), &mut reader, &all(), &mut |_| {}).await),
        receipts: whole(prove_receipts(&client, &filter(), &mut reader, &all(), &mut |_| {}).await),
    }
}

#[tokio::test]
async fn complete_logs_pass_every_level() {
    let without = World { no_block_receipts: true, ..world() };
    for node in [world(), without, World { null_receipts: true, ..world() }] {
        let held = taken(&world().logs());
        let said = opinions(&held, node).await;
        for report in [&said.second, &said.bloom, &said.receipts] {
            assert!(report.holds(), "{report:?}");
            assert_eq!((report.checked, report.right), (6, held.len() as u64), "{report:?}");
            assert_eq!((report.suspect, report.not_provable.len()), (0, 0), "{report:?}");
            assert!(report.requests > 0, "{report:?}");
        }
    }
}

/// What a node did, the logs that are held then, and the node that answers when it is asked again.
fn case(omission: Omission) -> (Logs, World) {
    let omitting = |places: &[(u64, u32)]| World { omitted: places.iter().copied().collect(), ..world() };
    match omission {
        Omission::OnlyOfItsBlock => (taken(&omitting(&[(1, 0)]).logs()), world()),
        Omission::BesideOthers => (taken(&omitting(&[(2, 0)]).logs()), world()),
        Omission::BesideItsLike | Omission::MovesNothing => (taken(&omitting(&[(3, 1)]).logs()), world()),
        Omission::ByAll => (taken(&omitting(&[(1, 0)]).logs()), omitting(&[(1, 0)])),
        Omission::WholeChain => {
            let mut forged = world();
            forged.blocks[1].clear();
            (taken(&forged.logs()), forged)
        }
        Omission::Invented => {
            let mut held = taken(&world().logs());
            let topics = [B256::repeat_byte(SUPPLY)];
            let like = world().logs();
            let like = like.iter().find(|log| log.block == 4).unwrap();
            held.push(&Log { address: Address::repeat_byte(POOL), topics: &topics, log_index: 1, ..like });
            (held.sorted(), world())
        }
    }
}

#[tokio::test]
async fn what_is_noticed_is_what_the_table_says() {
    for omission in Omission::ALL {
        let (held, node) = case(omission);
        let said = opinions(&held, node).await;
        let is_noticed = |report: &Report| !report.holds() || report.suspect > 0;
        for (level, report) in
            [(Level::SecondEndpoint, &said.second), (Level::Bloom, &said.bloom), (Level::Receipts, &said.receipts)]
        {
            assert_eq!(report.level, level);
            // Here the other endpoint is honest and the filters are nearly empty, so every condition holds.
            let mut noticed = expected(omission, level) != Catch::No;
            // But for one: there is no other, honest, endpoint for a chain that was made up as a whole.
            noticed &= omission != Omission::WholeChain;
            assert_eq!(is_noticed(report), noticed, "{omission:?} at {level:?}: {report:?}");
        }
    }
}

#[tokio::test]
async fn a_second_liquidation_left_out_is_named_by_the_receipts() {
    let (held, node) = case(Omission::MovesNothing);
    let said = opinions(&held, node).await;
    assert_eq!((said.receipts.wrong.count, said.receipts.wrong.blocks), (1, Some((3, 3))));
    let found = &said.receipts.wrong.first[0];
    assert_eq!((found.block, found.log_index, found.fault), (3, 1, Fault::Omitted));
    assert_eq!(found.topic0, Some(B256::repeat_byte(LIQUIDATION)));
    assert_eq!(said.second.wrong.first[0], *found);
    let (block, what) = said.receipts.first_wrong().unwrap();
    assert_eq!((block, said.receipts.wrong_count(), said.receipts.unknown_count()), (3, 1, 0));
    assert!(what.starts_with("log 1 of 0x01") && what.ends_with("0b is missing"), "{what}");
    assert!(said.bloom.holds() && said.bloom.suspect == 0);
    assert_eq!(expected(Omission::MovesNothing, Level::Receipts), Catch::Yes);
    assert_eq!(expected(Omission::MovesNothing, Level::State), Catch::No);
}

#[tokio::test]
async fn an_invented_log_is_named() {
    let (held, node) = case(Omission::Invented);
    let said = opinions(&held, node).await;
    for (report, fault) in
        [(&said.second, Fault::Foreign), (&said.bloom, Fault::NotInBloom), (&said.receipts, Fault::Foreign)]
    {
        assert_eq!((report.wrong.count, report.wrong.first[0].block), (1, 4), "{report:?}");
        assert_eq!(report.wrong.first[0].fault, fault);
    }
}

/// With an honest node the re-reading of a suspect block names the log; with one that lies twice the suspicion remains.
#[tokio::test]
async fn suspect_blocks_are_read_again() {
    let (held, honest) = case(Omission::OnlyOfItsBlock);
    let said = opinions(&held, honest).await;
    assert_eq!((said.bloom.wrong.count, said.bloom.suspect), (1, 0));
    assert_eq!(said.bloom.wrong.first[0].fault, Fault::Omitted);
    let (held, liar) = case(Omission::ByAll);
    let said = opinions(&held, liar).await;
    assert_eq!((said.bloom.wrong.count, said.bloom.suspect), (0, 1));
    assert_eq!(said.receipts.wrong.count, 1, "the receipts tell even then");
    assert!(said.second.holds());
}

#[tokio::test]
async fn what_cannot_be_proven_is_not_called_proven() {
    let held = taken(&world().logs());
    let empty = opinions(&held, World { no_bloom: true, ..world() }).await.bloom;
    assert_eq!(empty.checked, 1, "only the block that has no receipts: {empty:?}");
    assert_eq!(empty.not_provable.values().sum::<u64>(), 5);

    let mute = opinions(&held, World { mute: [2, 3].into(), ..world() }).await.receipts;
    assert_eq!((mute.checked, mute.not_provable.values().sum::<u64>(), mute.wrong.count), (4, 2, 0));

    let lying = World { out_of_receipts: [(3, 1)].into(), ..world() };
    let lying = opinions(&held, lying).await.receipts;
    assert_eq!((lying.mismatched, lying.first_mismatched, lying.checked), (1, Some(3), 5));
    assert!(!lying.holds());
    assert_eq!((lying.first_wrong().unwrap().0, lying.wrong_count()), (3, 1));
}

#[tokio::test]
async fn logs_of_another_fork_are_told() {
    let mut fork = world();
    fork.blocks[3][0].cumulative_gas_used += 1;
    let said = opinions(&taken(&fork.logs()), world()).await;
    assert_eq!((said.receipts.wrong.count, said.second.wrong.count), (2, 2));
    assert_eq!(said.receipts.wrong.first[0].fault, Fault::Altered("block hash"));
}

#[tokio::test]
async fn requests_are_as_many_as_the_plan_said() {
    let (client, asked) = serve(world()).await;
    let (held, filter) = (taken(&world().logs()), filter());
    let plan = Plan { from: 0, to: 5, choice: Choice::Sample { seed: 3, count: 3 } };
    let mut reader = |_: u64, _: u64| Ok(held.clone());
    let mut told = Vec::new();
    let mut watch = |report: &Report| told.push(report.checked);
    // Who proves may want to do so on any thread.
    let run: std::pin::Pin<Box<dyn Future<Output = _> + Send + '_>> =
        Box::pin(prove_receipts(&client, &filter, &mut reader, &plan, &mut watch));
    let (report, ended) = run.await;
    ended.unwrap();
    assert_eq!(told, [3]);
    let asked = asked.lock().unwrap().clone();
    assert_eq!((report.checked, asked["eth_getBlockReceipts"]), (3, plan.receipts_cost().receipts));
    assert!(asked["eth_getBlockByNumber"] >= plan.receipts_cost().headers);
    // Besides, the client looks where the chain has got to.
    assert!(report.requests <= plan.receipts_cost().requests() + 2, "{report:?}");
    assert!(!asked.contains_key("eth_getTransactionReceipt"));
}

/// A block that nobody has costs no other, and a reader that fails ends the run without losing what was learnt.
#[tokio::test]
async fn a_run_that_ends_early_says_how_far_it_got() {
    let (client, _) = serve(world()).await;
    let held = taken(&world().logs());
    let plan = Plan { from: 0, to: 9, choice: Choice::These([1, 3, 8].into()) };
    let mut reader = |_: u64, _: u64| Ok(held.clone());
    let (report, ended) = prove_receipts(&client, &filter(), &mut reader, &plan, &mut |_| {}).await;
    ended.unwrap();
    assert_eq!((report.checked, report.not_provable.values().sum::<u64>(), report.through), (2, 1, Some(3)));

    let mut broken = |from: u64, _: u64| match from {
        0..3 => Ok(held.clone()),
        _ => Err(crate::Error::Unfit { what: "broken".to_owned(), advice: String::new() }),
    };
    let ranges = [0..=2, 3..=5];
    let (report, ended) = second_opinion(&client, &filter(), &mut broken, &ranges, &mut |_| {}).await;
    assert!(ended.is_err());
    assert_eq!((report.checked, report.through), (3, Some(2)));
}
