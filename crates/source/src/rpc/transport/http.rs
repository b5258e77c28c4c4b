//! HTTP: a request for every text.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;

use super::Delivery;
use crate::rpc::Options;
use crate::rpc::endpoint::Endpoint;
use crate::rpc::fault::{Attempt, Fault};
use crate::rpc::room::Room;
use crate::web::{self, Broken, Way};
use crate::{Error, Result};

#[derive(Debug)]
pub(in crate::rpc) struct Http {
    client: reqwest::Client,
    endpoint: Endpoint,
    timeout: Duration,
    stall: Duration,
    room: Arc<Room>,
}

impl Http {
    pub(super) fn new(endpoint: &Endpoint, way: Way, options: &Options, room: Arc<Room>) -> Result<Self> {
        let client = web::client(way, options.timeout).map_err(|cause| Error::Unfit {
            what: format!("{endpoint}: no connection can be prepared ({cause})"),
            advice: "check that this machine has root certificates installed".to_owned(),
        })?;
        Ok(Self { client, endpoint: endpoint.clone(), timeout: options.timeout, stall: options.stall, room })
    }

    pub(super) async fn send(&self, text: String, longest: usize) -> Attempt<Delivery> {
        let longest = longest.min(self.room.longest());
        let mut request = self.client.post(self.endpoint.address()).header(CONTENT_TYPE, "application/json").body(text);
        if let Some(token) = self.endpoint.token() {
            request = request.bearer_auth(token);
        }
        let mut held = self.room.begin();
        let exchange = web::exchange(request, self.stall, longest, Some(&mut held));
        match tokio::time::timeout(self.timeout, exchange).await {
            Err(_) => Err(Fault::Fleeting(format!("no whole answer within {} s", self.timeout.as_secs_f32()))),
            Ok(Err(Broken::Fleeting(what))) => Err(Fault::Fleeting(what)),
            Ok(Err(Broken::TooLong)) => Err(super::too_long(longest)),
            Ok(Ok(received)) => Ok(Delivery {
                status: received.status,
                retry_after: web::wait_asked_for(&received.headers),
                body: received.body,
                _held: held,
            }),
        }
    }
}
