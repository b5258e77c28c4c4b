//! Venues of our own on this machine, over HTTP and as streams, which can be told to misbehave. The program's tests use them too, so
//! nothing here is of this crate.

#![allow(dead_code, reason = "what the tests of one crate do not use, those of the other do")]

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) mod answers;
pub(crate) mod messages;
pub(crate) mod streamed;

/// What is done to one request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// It is answered.
    Say(String),
    /// A status, headers and a body.
    Status(u16, &'static str, String),
    /// The answer ends halfway, and its length says that this is all.
    Cut(String),
    /// The answer ends halfway and nothing more comes.
    Stall(String),
    /// It is answered after so many milliseconds.
    Late(u64, String),
    /// The connection is closed without a word.
    Drop,
    /// So many bytes of one text.
    Flood(usize),
}

type Script = dyn Fn(&str, usize) -> Act + Send + Sync;

/// A venue that answers as it is told, and remembers what it was asked.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers by `script`, which is given the question (path and body) and how often that very question was put before.
    pub(crate) async fn start(script: impl Fn(&str, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (script, log): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(converse(stream, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { url, asked, task }
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// How often something was asked that holds a text.
    pub(crate) fn times(&self, part: &str) -> usize {
        self.asked().iter().filter(|question| question.contains(part)).count()
    }
}

async fn converse(mut stream: TcpStream, script: Arc<Script>, log: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    while let Some(question) = read_request(&mut stream, &mut bytes).await {
        let before = {
            let mut log = log.lock().unwrap();
            log.push(question.clone());
            log.iter().filter(|asked| **asked == question).count() - 1
        };
        let whole = |status: u16, headers: &str, body: &str, length: usize| {
            format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}")
        };
        let text = match script(&question, before) {
            Act::Drop => return,
            Act::Say(body) => whole(200, "", &body, body.len()),
            Act::Late(millis, body) => {
                tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
                whole(200, "", &body, body.len())
            }
            Act::Status(status, headers, body) => whole(status, headers, &body, body.len()),
            Act::Cut(body) => whole(200, "", &body[..body.len() / 2], body.len() / 2),
            Act::Stall(body) => whole(200, "", &body[..body.len() / 2], body.len()),
            Act::Flood(length) => {
                let _ = stream.write_all(whole(200, "", "[\"", length).as_bytes()).await;
                let piece = vec![b'x'; 1 << 16];
                let mut left = length;
                while left > 0 && stream.write_all(&piece[..left.min(piece.len())]).await.is_ok() {
                    left -= left.min(piece.len());
                }
                return;
            }
        };
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The path of the next request, and its body behind it.
async fn read_request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<String> {
    loop {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if let Some(end) = text.find("\r\n\r\n") {
            let head = text[..end].to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            let length: usize = length.unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&bytes[end + 4..end + 4 + length]).into_owned();
                let path = text.split(' ').nth(1)?.to_owned();
                bytes.drain(..end + 4 + length);
                return Some(format!("{path} {body}").trim_end().to_owned());
            }
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}
