//! The treasury's books as the archive has them: batches become the engine's ledger, and what is posted becomes the next batch.

pub(crate) mod coins;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod policies;
mod rows;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use engine::treasury::{Account, Asset, Balance, Code, Ledger, Outcome, Transfer};
use protocol::standing::Standing;
use source::archive::ledger::{self, Row};
use source::archive::{Archive, Writer};
use source::{Error, Result};

use self::coins::Coins;
pub(crate) use self::rows::word;

/// Transfers of a batch: more are spread over several, each of them whole by itself.
pub(crate) const BATCH_TRANSFERS: usize = 50_000;

/// The books, and what was posted since the last batch.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// The ledger.
    pub ledger: Ledger,
    /// What its assets are called.
    pub coins: Coins,
    waiting: Vec<Row>,
    groups: u64,
}

impl Books {
    /// The books as the archive has them.
    ///
    /// # Errors
    /// A batch is missing or damaged, or its rows cannot have been posted.
    pub(crate) fn load(archive: &Archive) -> Result<Self> {
        let mut books = Self::default();
        let mut group: Vec<Transfer> = Vec::new();
        let mut of = (0, 0);
        ledger::read(archive, &mut |batch, row| {
            if of != (batch, row.group) {
                books.replay(of.0, &std::mem::take(&mut group))?;
                of = (batch, row.group);
            }
            books.coins.learn(&row).map_err(|why| contradiction(batch, &why.to_string()))?;
            group.push(
                rows::transfer(&row)
                    .ok_or_else(|| contradiction(batch, "a row says what this program does not know"))?,
            );
            Ok(())
        })?;
        books.replay(of.0, &group)?;
        Ok(books)
    }

    fn replay(&mut self, batch: u64, group: &[Transfer]) -> Result<()> {
        group.iter().for_each(|transfer| self.ledger.open_for(transfer));
        match self.ledger.apply_group(group).iter().find(|outcome| **outcome != Outcome::Posted) {
            None => Ok(()),
            Some(outcome) => Err(contradiction(batch, &format!("a transfer cannot have been posted: {outcome:?}"))),
        }
    }

    /// Posts a group in memory; [`Books::commit`] makes it durable.
    pub(crate) fn post(&mut self, group: &[Transfer]) -> Vec<Outcome> {
        group.iter().for_each(|transfer| self.ledger.open_for(transfer));
        let outcomes = self.ledger.apply_group(group);
        if outcomes.contains(&Outcome::Posted) {
            let coins = &self.coins;
            self.waiting.extend(group.iter().map(|transfer| rows::row(transfer, self.groups, coins)));
            self.groups += 1;
        }
        outcomes
    }

    /// How many transfers wait to be made durable.
    pub(crate) const fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Writes what was posted since the last batch as the next one; nothing where nothing was. Where this fails, the books know more
    /// than the archive and must be loaded anew.
    ///
    /// # Errors
    /// The archive cannot be written.
    pub(crate) fn commit(&mut self, writer: &Writer, origin: &str) -> Result<()> {
        if !self.waiting.is_empty() {
            ledger::append(writer, origin, &self.waiting)?;
            self.waiting.clear();
            self.groups = 0;
        }
        Ok(())
    }

    /// Warns where what auctions brought was recorded in two ways: as it accrued, and again as it came in.
    pub(crate) fn income_twice(&self) -> Vec<String> {
        let mut direct: BTreeMap<Asset, (u64, u128)> = BTreeMap::new();
        for entry in self.ledger.journal().iter().filter_map(|one| one.moved) {
            if (entry.debit.code, entry.credit.code) == (Code::Cash, Code::SvrShare) {
                let (count, amount) = direct.entry(entry.debit.asset).or_default();
                (*count, *amount) = (*count + 1, amount.saturating_add(entry.amount));
            }
        }
        let is_accrued = |asset: &Asset| {
            let of = |(account, balance): (&Account, &Balance)| {
                account.code == Code::SvrReceivable
                    && account.asset.network == asset.network
                    && *balance != Balance::default()
            };
            self.ledger.accounts().any(of)
        };
        let warn = |(asset, (count, amount)): (Asset, (u64, u128))| {
            let coin = self.coins.of(asset);
            let amount = coins::signed(amount.cast_signed(), coin.decimals);
            format!(
                "On {} {amount} {} were recorded from svr-share straight into cash in {count} rows, and svr-receivable is in use there: what accrued and came in \
                is income twice. Record what came in as cash against svr-receivable.",
                asset.network, coin.symbol
            )
        };
        direct.into_iter().filter(|(asset, _)| is_accrued(asset)).map(warn).collect()
    }

    /// How the weakest amount in the books is known.
    pub(crate) fn standing(&self) -> Standing {
        self.ledger.journal().iter().map(|one| one.transfer.standing).max().unwrap_or(Standing::Exact)
    }
}

fn contradiction(batch: u64, what: &str) -> Error {
    Error::Unfit {
        what: format!("batch {batch} of the archive's ledger contradicts what stands before it: {what}"),
        advice: "restore the folder `ledger` from a backup".to_owned(),
    }
}
