//! HTTP: a request for every text.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;

use super::Delivery;
use crate::rpc::Options;
use crate::rpc::endpoint::Endpoint;
use crate::rpc::fault::{Attempt, Fault};
use crate::web::{self, Broken, Way};
use crate::{Error, Result};

#[derive(Debug)]
pub(in crate::rpc) struct Http {
    client: reqwest::Client,
    endpoint: Endpoint,
    timeout: Duration,
    stall: Duration,
    max_bytes: usize,
}

impl Http {
    pub(super) fn new(endpoint: &Endpoint, way: Way, options: &Options) -> Result<Self> {
        let client = web::client(way, options.timeout).map_err(|cause| Error::Unfit {
            what: format!("{endpoint}: no connection can be prepared ({cause})"),
            advice: "check that this machine has root certificates installed".to_owned(),
        })?;
        Ok(Self {
            client,
            endpoint: endpoint.clone(),
            timeout: options.timeout,
            stall: options.stall,
            max_bytes: options.max_reply_bytes,
        })
    }

    pub(super) async fn send(&self, text: String) -> Attempt<Delivery> {
        let request = self.client.post(self.endpoint.address()).header(CONTENT_TYPE, "application/json").body(text);
        match tokio::time::timeout(self.timeout, web::exchange(request, self.stall, self.max_bytes)).await {
            Err(_) => Err(Fault::Fleeting(format!("no whole answer within {} s", self.timeout.as_secs_f32()))),
            Ok(Err(Broken::Fleeting(what))) => Err(Fault::Fleeting(what)),
            Ok(Err(Broken::TooLong)) => Err(super::too_long(self.max_bytes)),
            Ok(Ok(received)) => Ok(Delivery {
                status: received.status,
                retry_after: web::retry_after(&received.headers),
                body: received.body,
            }),
        }
    }
}
