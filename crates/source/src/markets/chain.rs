//! What finding a market asks of a chain.

use std::collections::BTreeSet;
use std::future::Future;

use alloy_primitives::Bytes;
use protocol::{Address, B256};

use crate::Result;
use crate::rpc::{Answer, Call, Client, Filter};

/// Who answers questions about a chain: the client of its nodes, and in tests a map.
pub trait Chain {
    /// Answers to all calls, in their order, as of the end of a block.
    fn calls(&self, block: u64, calls: &[Call]) -> impl Future<Output = Result<Vec<Answer>>> + Send;

    /// The code at an address as of the end of a block; none where there is no contract.
    fn code(&self, block: u64, address: Address) -> impl Future<Output = Result<Bytes>> + Send;

    /// The first block of a range, both ends included, in which an address wrote a log with these first two topics.
    fn first_log(
        &self,
        address: Address,
        topics: [B256; 2],
        from: u64,
        to: u64,
    ) -> impl Future<Output = Result<Option<u64>>> + Send;
}

impl Chain for Client {
    async fn calls(&self, block: u64, calls: &[Call]) -> Result<Vec<Answer>> {
        let told = Self::calls(self, block, calls).await?;
        Ok(told.into_iter().map(|told| told.answer).collect())
    }

    async fn code(&self, block: u64, address: Address) -> Result<Bytes> {
        Self::code(self, block, address).await
    }

    async fn first_log(&self, address: Address, topics: [B256; 2], from: u64, to: u64) -> Result<Option<u64>> {
        let filter = Filter { addresses: BTreeSet::from([address]), topics: BTreeSet::from([topics[0]]) };
        let logs = Self::logs(self, &filter, from, to).await?;
        Ok(logs.iter().find(|log| log.topics.get(1) == Some(&topics[1])).map(|log| log.block))
    }
}
