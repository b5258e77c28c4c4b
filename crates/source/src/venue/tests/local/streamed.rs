//! A venue's stream of our own.

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

type Socket = WebSocketStream<TcpStream>;

/// What is done on a connection, after the subscription was heard.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Say(String),
    /// A close frame.
    Close,
    /// The connection ends without a word.
    Drop,
    /// Nothing is said or read, for ever.
    Sleep,
    /// Whatever is sent is read, and pings are answered, for ever.
    Stay,
    /// One text of so many bytes.
    Flood(usize),
}

/// A venue's stream on this machine, and what it was sent.
pub(crate) struct Server {
    pub(crate) url: String,
    sent: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Acts by a script for each connection, the last for all that follow.
    pub(crate) async fn start(scripts: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let sent: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&sent);
        let task = tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let script = scripts[number.min(scripts.len() - 1)].clone();
                tokio::spawn(act(stream, script, Arc::clone(&log)));
            }
        });
        Self { url, sent, task }
    }

    pub(crate) fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }
}

async fn act(stream: TcpStream, script: Vec<Act>, log: Arc<Mutex<Vec<String>>>) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let note = |message: &Message| {
        if let Message::Text(text) = message {
            log.lock().unwrap().push(text.to_string());
        }
    };
    match socket.next().await {
        Some(Ok(message)) => note(&message),
        _ => return,
    }
    for step in script {
        match step {
            Act::Say(text) => drop(socket.send(Message::text(text)).await),
            Act::Close => return drop(socket.close(None).await),
            Act::Drop => return,
            Act::Sleep => std::future::pending().await,
            Act::Stay => stay(&mut socket, note).await,
            Act::Flood(bytes) => drop(socket.send(Message::text("x".repeat(bytes))).await),
        }
    }
}

async fn stay(socket: &mut Socket, note: impl Fn(&Message)) {
    while let Some(Ok(message)) = socket.next().await {
        note(&message);
        if matches!(&message, Message::Text(text) if text.contains("ping"))
            && socket.send(Message::text("pong")).await.is_err()
        {
            return;
        }
    }
}
