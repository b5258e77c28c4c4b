//! What attribution concludes from what a world's chains tell, and from nothing else.

use std::collections::BTreeMap;

use engine::recapture::{Block, Ledger, Row, Rules, Stray, Terms};
use protocol::chain::ChainId;

/// The rows of all chains by time and place, and the payments that are in none.
///
/// # Errors
/// Blocks out of order, which a world does not tell.
pub(crate) fn rows(blocks: &BTreeMap<ChainId, Vec<Block>>) -> anyhow::Result<(Vec<Row>, Vec<Stray>)> {
    let (mut rows, mut strays) = (Vec::new(), Vec::new());
    for blocks in blocks.values() {
        let mut ledger = Ledger::new(Rules::default(), Terms::aave());
        for block in blocks {
            let found = ledger.block(block)?;
            rows.extend(found.rows);
            strays.extend(found.strays);
        }
    }
    rows.sort_by_key(|row| (row.time, row.chain, row.place));
    Ok((rows, strays))
}
