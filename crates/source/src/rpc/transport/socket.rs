//! One connection for all questions: WebSocket, or a Unix socket on this machine. Who waits for which answer is known by number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header::AUTHORIZATION};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::Delivery;
use crate::rpc::endpoint::{Endpoint, Scheme};
use crate::rpc::fault::{Attempt, Fault};
use crate::rpc::room::{Held, Room};
use crate::rpc::{Options, wire};

#[derive(Debug)]
pub(in crate::rpc) struct Socket {
    endpoint: Endpoint,
    timeout: Duration,
    room: Arc<Room>,
    /// The way to the task that holds the connection; none before the first question and after a break.
    task: Mutex<Option<mpsc::UnboundedSender<Letter>>>,
}

/// A question on its way, and where its answer goes.
#[derive(Debug)]
struct Letter {
    id: u64,
    text: String,
    answer: oneshot::Sender<Attempt<Message>>,
}

/// What a node said, and the room it takes up.
#[derive(Debug)]
struct Message {
    text: Vec<u8>,
    held: Held,
}

impl Socket {
    pub(super) fn new(endpoint: &Endpoint, options: &Options, room: Arc<Room>) -> Self {
        Self { endpoint: endpoint.clone(), timeout: options.timeout, room, task: Mutex::new(None) }
    }

    pub(super) async fn send(&self, id: u64, text: String, longest: usize) -> Attempt<Delivery> {
        let (answer, waiting) = oneshot::channel();
        self.post(Letter { id, text, answer });
        match tokio::time::timeout(self.timeout, waiting).await {
            Err(_) => Err(Fault::Fleeting(format!("no whole answer within {} s", self.timeout.as_secs_f32()))),
            Ok(Err(_)) => Err(Fault::Fleeting("the connection was closed".to_owned())),
            Ok(Ok(answer)) => {
                let Message { text: body, held } = answer?;
                if body.len() > longest {
                    return Err(super::too_long(longest));
                }
                Ok(Delivery { status: 200, retry_after: None, body, _held: held })
            }
        }
    }

    /// Gives a question to the task that holds the connection, and starts a new one where that has ended.
    fn post(&self, letter: Letter) {
        let mut task = self.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let letter = match task.as_ref() {
            Some(sender) => match sender.send(letter) {
                Ok(()) => return,
                Err(mpsc::error::SendError(letter)) => letter,
            },
            None => letter,
        };
        let (sender, letters) = mpsc::unbounded_channel();
        // The receiver is right here, so this arrives.
        let _ = sender.send(letter);
        *task = Some(sender);
        tokio::spawn(serve(self.endpoint.clone(), self.timeout, Arc::clone(&self.room), letters));
    }
}

/// Holds a connection until it breaks or nobody is left to ask. Whoever waits when it breaks is told.
async fn serve(endpoint: Endpoint, timeout: Duration, room: Arc<Room>, mut letters: mpsc::UnboundedReceiver<Letter>) {
    let mut waiting = BTreeMap::new();
    let broken = match tokio::time::timeout(timeout, Connection::open(&endpoint, room.message())).await {
        Ok(Ok(connection)) => converse(connection, (timeout, &room), &mut letters, &mut waiting).await,
        Ok(Err(fault)) => Some(fault),
        Err(_) => Some(Fault::Fleeting("the connection took too long".to_owned())),
    };
    let Some(broken) = broken else { return };
    letters.close();
    for answer in waiting.into_values() {
        // Whoever has stopped waiting is not to be told.
        let _ = answer.send(Err(broken.clone()));
    }
    while let Some(letter) = letters.recv().await {
        let _ = letter.answer.send(Err(broken.clone()));
    }
}

type Waiting = BTreeMap<u64, oneshot::Sender<Attempt<Message>>>;

/// Sends what is to be sent and hands out what comes, until the connection breaks; none where nobody is left to ask.
async fn converse(
    mut connection: Connection,
    (timeout, room): (Duration, &Arc<Room>),
    letters: &mut mpsc::UnboundedReceiver<Letter>,
    waiting: &mut Waiting,
) -> Option<Fault> {
    loop {
        tokio::select! {
            letter = letters.recv() => {
                let Letter { id, text, answer } = letter?;
                waiting.retain(|_, answer| !answer.is_closed());
                waiting.insert(id, answer);
                match tokio::time::timeout(timeout, connection.write(text)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(fault)) => return Some(fault),
                    Err(_) => return Some(Fault::Fleeting("the node does not read what it is asked".to_owned())),
                }
            }
            message = connection.read() => match message {
                Ok(text) => {
                    // Nothing more is read before there is room for this.
                    let mut held = room.begin();
                    held.grow(text.len()).await;
                    hand_out(Message { text, held }, waiting);
                }
                Err(fault) => return Some(fault),
            },
        }
    }
}

fn hand_out(message: Message, waiting: &mut Waiting) {
    let known = wire::first_id(&message.text).filter(|id| waiting.contains_key(id));
    // What names nobody can only be for the one who waits alone, who will see what is wrong with it.
    let only = if waiting.len() == 1 { waiting.keys().next().copied() } else { None };
    if let Some(answer) = known.or(only).and_then(|id| waiting.remove(&id)) {
        // Whoever has stopped waiting does not need it.
        let _ = answer.send(Ok(message));
    }
}

/// An open connection.
enum Connection {
    Web(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    #[cfg(unix)]
    Local {
        stream: tokio::net::UnixStream,
        frames: Frames,
    },
}

impl Connection {
    async fn open(endpoint: &Endpoint, max_bytes: usize) -> Attempt<Self> {
        if endpoint.scheme() != Scheme::Ipc {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let request = web_request(endpoint)?;
            let config = WebSocketConfig::default().max_message_size(Some(max_bytes)).max_frame_size(Some(max_bytes));
            let opened = tokio_tungstenite::connect_async_with_config(request, Some(config), true).await;
            let (stream, _) = opened.map_err(|cause| web_fault(&cause))?;
            return Ok(Self::Web(Box::new(stream)));
        }
        #[cfg(unix)]
        {
            let opened = tokio::net::UnixStream::connect(endpoint.address()).await;
            let stream = opened.map_err(|cause| Fault::Fleeting(format!("cannot open the socket ({cause})")))?;
            Ok(Self::Local { stream, frames: Frames::new(max_bytes) })
        }
        #[cfg(not(unix))]
        Err(Fault::Refused("sockets of this kind exist on Unix alone; use http or ws".to_owned()))
    }

    async fn write(&mut self, text: String) -> Attempt<()> {
        match self {
            Self::Web(stream) => stream.send(Frame::text(text)).await.map_err(|cause| web_fault(&cause)),
            #[cfg(unix)]
            Self::Local { stream, .. } => {
                let line = text + "\n";
                stream.write_all(line.as_bytes()).await.map_err(|cause| Fault::Fleeting(cause.to_string()))
            }
        }
    }

    /// The next message. Nothing is lost when this is given up halfway.
    async fn read(&mut self) -> Attempt<Vec<u8>> {
        match self {
            Self::Web(stream) => loop {
                match stream.next().await {
                    Some(Ok(Frame::Text(text))) => return Ok(text.as_bytes().to_vec()),
                    Some(Ok(Frame::Binary(bytes))) => return Ok(bytes.to_vec()),
                    Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
                    Some(Ok(Frame::Close(_))) | None => return Err(closed()),
                    Some(Err(cause)) => return Err(web_fault(&cause)),
                }
            },
            #[cfg(unix)]
            Self::Local { stream, frames } => loop {
                if let Some(frame) = frames.next()? {
                    return Ok(frame);
                }
                let read = stream.read_buf(&mut frames.bytes).await;
                if read.map_err(|cause| Fault::Fleeting(cause.to_string()))? == 0 {
                    return Err(closed());
                }
            },
        }
    }
}

fn closed() -> Fault {
    Fault::Fleeting("the node closed the connection".to_owned())
}

/// User and password of an address go into a header, as browsers do it.
fn web_request(endpoint: &Endpoint) -> Attempt<tokio_tungstenite::tungstenite::handshake::client::Request> {
    // The cause can hold the address.
    let bad = || Fault::Refused("the address is none that can be connected to".to_owned());
    let mut request = endpoint.address().into_client_request().map_err(|_| bad())?;
    if let Some(user) = endpoint.user() {
        let value = HeaderValue::from_str(&format!("Basic {}", base64(user.as_bytes()))).map_err(|_| bad())?;
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

fn web_fault(cause: &tokio_tungstenite::tungstenite::Error) -> Fault {
    use tokio_tungstenite::tungstenite::Error;
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else breaks a connection is treated alike")]
    match cause {
        Error::Capacity(_) => Fault::Oversized(format!("the answer is too long ({cause})")),
        Error::ConnectionClosed | Error::AlreadyClosed => closed(),
        Error::Http(response) => match response.status().as_u16() {
            429 => Fault::Busy("HTTP status 429".to_owned(), None),
            status @ (401 | 403 | 404) => Fault::Refused(format!("HTTP status {status}")),
            status => Fault::Fleeting(format!("HTTP status {status}")),
        },
        other => Fault::Fleeting(other.to_string()),
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = char::from(LETTERS[(word >> (18 - 6 * place) & 63) as usize]);
            text.push(if place <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

/// Finds the messages in a stream of JSON: some nodes end each with a newline, some with nothing but its last brace.
#[derive(Debug)]
struct Frames {
    bytes: Vec<u8>,
    /// How far `bytes` was looked at.
    seen: usize,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    max_bytes: usize,
}

impl Frames {
    fn new(max_bytes: usize) -> Self {
        Self { bytes: Vec::new(), seen: 0, depth: 0, in_string: false, is_escaped: false, max_bytes }
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        while let Some(byte) = self.bytes.get(self.seen) {
            self.seen += 1;
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => self.depth += 1,
                b'}' | b']' if !self.in_string => {
                    self.depth = self
                        .depth
                        .checked_sub(1)
                        .ok_or_else(|| Fault::Malformed("what it answers is not JSON".to_owned()))?;
                    if self.depth == 0 {
                        let rest = self.bytes.split_off(self.seen);
                        self.seen = 0;
                        return Ok(Some(std::mem::replace(&mut self.bytes, rest)));
                    }
                }
                _ => {}
            }
        }
        if self.bytes.len() > self.max_bytes { Err(super::too_long(self.max_bytes)) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_base64() {
        for (text, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    proptest::proptest! {
        /// However a stream of messages is cut up, the same messages come out of it.
        #[test]
        fn messages_are_found_in_any_stream(
            texts in proptest::collection::vec("[a-z{}\\[\\]\"\\\\]{0,12}", 1..6), step in 1_usize..9, newline: bool,
        ) {
            let messages: Vec<String> =
                texts.iter().map(|text| serde_json::json!({ "id": 1, "result": [text] }).to_string()).collect();
            let stream = messages.join(if newline { "\n" } else { "" });
            let mut frames = Frames::new(1_000);
            let mut found = Vec::new();
            for piece in stream.as_bytes().chunks(step) {
                frames.bytes.extend_from_slice(piece);
                while let Some(frame) = frames.next().unwrap() {
                    found.push(String::from_utf8(frame).unwrap().trim().to_owned());
                }
            }
            proptest::prop_assert_eq!(found, messages);
        }
    }
}
