//! How this crate's tests reach the venues of their own.

use std::time::Duration;

use super::local::Server;
use crate::venue::{Client, Options, Places};

impl Server {
    /// Everything is here.
    pub(crate) fn places(&self) -> Places {
        let url = || self.url.clone();
        Places {
            binance_usdm: url(),
            binance_coinm: url(),
            bybit: url(),
            okx: url(),
            hyperliquid: url(),
            ..Places::default()
        }
    }

    pub(crate) fn client(&self) -> Client {
        self.client_with(Options::default())
    }

    /// Quick to give up and quick to try again.
    pub(crate) fn client_with(&self, options: Options) -> Client {
        let options = Options {
            stall: Duration::from_secs(1),
            backoff: Duration::from_millis(1),
            patience: Duration::from_secs(3),
            ..options
        };
        Client::new(&self.places(), options).unwrap()
    }
}
