//! As much of HTTP/1.1 as a node and its callers speak: messages with a length, over one connection after another.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// No answer in a test takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request or a reply.
#[derive(Clone, Debug)]
pub struct Message {
    /// The request line or the status line.
    pub first: String,
    /// What it carries.
    pub body: Vec<u8>,
}

/// Reads one message; none where the other side has hung up.
pub fn read(from: &mut BufReader<TcpStream>) -> Result<Option<Message>> {
    let mut first = String::new();
    if from.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            bail!("the connection ended among the headers");
        }
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').context("a header without a colon")?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().context("a length that is no number")?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("a message in pieces, which nobody here sends");
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Some(Message { first: first.trim().to_owned(), body }))
}

/// A connection to a node, opened when it is needed and again after it was lost.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    /// To an address; nothing is opened yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Sends JSON and returns what is answered.
    pub fn post(&mut self, body: &[u8]) -> Result<Vec<u8>> {
        // A connection that was idle may be gone, which shows when it is used; a fresh one has no such excuse.
        if let Some(stream) = &mut self.stream
            && let Ok(reply) = exchange(stream, body)
        {
            return Ok(reply);
        }
        let stream = TcpStream::connect(self.address).with_context(|| format!("no node at {}", self.address))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let stream = self.stream.insert(BufReader::new(stream));
        exchange(stream, body)
    }
}

fn exchange(stream: &mut BufReader<TcpStream>, body: &[u8]) -> Result<Vec<u8>> {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut message = head.into_bytes();
    message.extend_from_slice(body);
    stream.get_mut().write_all(&message)?;
    let reply = read(stream)?.context("the node hung up")?;
    if !reply.first.contains(" 200 ") {
        bail!("the node answered {}", reply.first);
    }
    Ok(reply.body)
}
