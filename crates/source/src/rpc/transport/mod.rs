//! How a question's text gets to a node and the answer's text back: HTTP, WebSocket or a socket on this machine.

mod http;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use super::Options;
use super::endpoint::Endpoint;
use super::fault::{Attempt, Fault};
use super::room::{Held, Room};
use crate::Result;

/// The way to one endpoint.
#[derive(Debug)]
pub(super) enum Transport {
    /// A request for every question or batch.
    Http(http::Http),
    /// One connection for all.
    Socket(socket::Socket),
}

/// What came back.
#[derive(Debug)]
pub(super) struct Delivery {
    /// HTTP's status; 200 where there is no HTTP.
    pub(super) status: u16,
    /// How long the endpoint asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// The text.
    pub(super) body: Vec<u8>,
    /// The room it takes up.
    pub(super) _held: Held,
}

impl Transport {
    pub(super) fn new(endpoint: &Endpoint, options: &Options, room: &Arc<Room>) -> Result<Self> {
        Ok(match endpoint.http() {
            Some(way) => Self::Http(http::Http::new(endpoint, way, options, Arc::clone(room))?),
            None => Self::Socket(socket::Socket::new(endpoint, options, Arc::clone(room))),
        })
    }

    /// Whether several questions can go in one text. Over one connection they follow one another without waiting anyway.
    pub(super) fn takes_batches(&self) -> bool {
        matches!(self, Self::Http(_))
    }

    /// Sends a text and waits for what is said to it, as far as that is not longer than so many bytes. `id` is the number of the
    /// question in it, or of the first of several.
    pub(super) async fn send(&self, id: u64, text: String, longest: usize) -> Attempt<Delivery> {
        match self {
            Self::Http(http) => http.send(text, longest).await,
            Self::Socket(socket) => socket.send(id, text, longest).await,
        }
    }
}

/// Of an answer that is longer than is read.
fn too_long(max_bytes: usize) -> Fault {
    Fault::Oversized(format!("the answer is longer than {max_bytes} bytes"))
}
