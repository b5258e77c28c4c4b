//! One connection to a venue, made anew whenever it breaks.

use std::sync::PoisonError;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use protocol::perp::{Distortion, Distortions, Gap, GapCause, Instrument, Kind, Observation, Observed};
use protocol::time::TimeUs;
use protocol::venue::Venue;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout, timeout_at};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WebError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Heard, Lately, Novelty, Options, Report, Shared, rules};
use crate::rpc::Endpoint;
use crate::venue::client::{now, part_of};
use crate::venue::{Reject, Unread, shown};

/// No wait between two attempts is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What is listened to at one place.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) venue: Venue,
    pub(super) place: Endpoint,
    pub(super) instruments: Vec<Instrument>,
    pub(super) kinds: Vec<Kind>,
}

/// Why a connection ended.
enum End {
    /// It broke.
    Broke(GapCause, String),
    /// The venue refused what was subscribed to.
    Refused(String),
    /// Nobody listens any more.
    Unheard,
}

/// A connection while it stands.
struct Talk<'a> {
    line: &'a Line,
    options: &'a Options,
    socket: Socket,
    ping: (Message, Interval),
    sender: &'a mpsc::Sender<Heard>,
    report: &'a Shared,
}

/// What outlives a connection.
struct Memory {
    lately: Lately,
    /// When something was heard last; before anything was, when listening began.
    heard: TimeUs,
    /// Why nothing was heard since, where the connection broke.
    broken: Option<GapCause>,
}

fn with(report: &Shared, change: impl FnOnce(&mut Report)) {
    change(&mut report.lock().unwrap_or_else(PoisonError::into_inner));
}

impl Line {
    /// Listens until nobody does any more.
    pub(super) async fn follow(self, options: Options, sender: mpsc::Sender<Heard>, report: Shared) {
        let mut memory = Memory { lately: Lately::default(), heard: now(), broken: None };
        let mut wait = options.backoff;
        while !sender.is_closed() {
            let before = memory.heard;
            let end = match self.open(&options).await {
                Ok(socket) => {
                    with(&report, |report| report.connections += 1);
                    let (message, every) = rules::ping(self.venue);
                    let every = options.ping.unwrap_or(every);
                    let mut ticks = interval_at(Instant::now() + every, every);
                    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    let ping = (message, ticks);
                    let talk = Talk { line: &self, options: &options, socket, ping, sender: &sender, report: &report };
                    talk.listen(&mut memory).await
                }
                Err(what) => End::Broke(GapCause::Disconnected, what),
            };
            let (cause, what, is_refused) = match end {
                End::Broke(cause, what) => (cause, what, false),
                End::Refused(what) => (GapCause::Disconnected, what, true),
                End::Unheard => return,
            };
            memory.broken.get_or_insert(cause);
            with(&report, |report| {
                report.broken += 1;
                report.last_break = Some(format!("{}: {what}", self.place.host()));
            });
            // Whoever said something is worth coming back to soon, unless it was a refusal.
            wait = if is_refused || memory.heard == before {
                wait.saturating_mul(2).min(LONGEST_WAIT)
            } else {
                options.backoff
            };
            tokio::time::sleep(part_of(wait)).await;
        }
    }

    async fn open(&self, options: &Options) -> Result<Socket, String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let most = Some(options.max_message_bytes);
        let config = WebSocketConfig::default().max_message_size(most).max_frame_size(most);
        let opening = tokio_tungstenite::connect_async_with_config(self.place.address(), Some(config), true);
        match timeout(options.connect, opening).await {
            Err(_) => Err("the connection took too long".to_owned()),
            Ok(Err(cause)) => Err(self.place.clean(&cause.to_string())),
            Ok(Ok((socket, _))) => Ok(socket),
        }
    }

    /// What was not heard, of every instrument.
    fn gaps(&self, from: TimeUs, until: TimeUs, cause: GapCause) -> impl Iterator<Item = Observation> {
        self.instruments.iter().map(move |instrument| Observation {
            venue: self.venue,
            symbol: instrument.symbol.clone(),
            time: from,
            received: until,
            distortions: Distortions::NONE.with(Distortion::TimeOfHearing),
            fact: Observed::Gap(Gap { until, cause, kinds: self.kinds.clone() }),
        })
    }
}

impl Talk<'_> {
    /// Subscribes and hands on what is heard, until the connection breaks.
    async fn listen(mut self, memory: &mut Memory) -> End {
        let requests = rules::subscriptions(self.line.venue, &self.line.instruments, &self.line.kinds);
        for request in requests {
            if let Err(end) = self.send(Message::text(request)).await {
                return end;
            }
        }
        loop {
            let message = match self.read().await {
                Ok(message) => message,
                Err(end) => return end,
            };
            let received = now();
            // A clock that was set back makes no gap that ends before it begins.
            let since = std::mem::replace(&mut memory.heard, received);
            if let Some(cause) = memory.broken.take().filter(|_| since < received) {
                for gap in self.line.gaps(since, received, cause) {
                    if let Err(end) = self.hand_on(Heard::Said(gap)).await {
                        return end;
                    }
                }
            }
            let text = match message {
                Message::Text(text) => text.as_bytes().to_vec(),
                Message::Binary(bytes) => bytes.to_vec(),
                Message::Close(_) => {
                    return End::Broke(GapCause::Disconnected, "the venue closed the connection".to_owned());
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            if let Err(end) = self.take(&text, received, memory).await {
                return end;
            }
        }
    }

    /// The next message; a ping is sent whenever it is time for one.
    async fn read(&mut self) -> Result<Message, End> {
        let deadline = Instant::now() + self.options.silence;
        loop {
            tokio::select! {
                message = timeout_at(deadline, self.socket.next()) => return match message {
                    Err(_) => Err(End::Broke(GapCause::Silent, "nothing was heard for too long".to_owned())),
                    Ok(None) => Err(End::Broke(GapCause::Disconnected, "the connection was closed".to_owned())),
                    Ok(Some(Err(cause @ WebError::Capacity(_)))) => Err(End::Broke(GapCause::Oversized, cause.to_string())),
                    Ok(Some(Err(cause))) => Err(self.broken(&cause)),
                    Ok(Some(Ok(message))) => Ok(message),
                },
                _ = self.ping.1.tick() => {
                    let ping = self.ping.0.clone();
                    self.send(ping).await?;
                }
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(self.options.connect, self.socket.send(message)).await {
            Err(_) => Err(End::Broke(GapCause::Silent, "the venue does not read what it is sent".to_owned())),
            Ok(Err(cause)) => Err(self.broken(&cause)),
            Ok(Ok(())) => Ok(()),
        }
    }

    fn broken(&self, cause: &WebError) -> End {
        End::Broke(GapCause::Disconnected, self.line.place.clean(&cause.to_string()))
    }

    /// Reads a message and hands on what it says.
    async fn take(&mut self, text: &[u8], received: TimeUs, memory: &mut Memory) -> Result<(), End> {
        with(self.report, |report| report.messages += 1);
        let parsed = match rules::read(self.line.venue, &self.line.instruments, text, received) {
            Ok(parsed) => parsed,
            Err(why) => {
                let is_refused = matches!(why, Unread::Refused { .. });
                let reason = if is_refused { "refused" } else { "malformed" };
                let (detail, row) = (why.to_string(), shown(&String::from_utf8_lossy(text)));
                self.reject(Reject { reason, detail: detail.clone(), row }).await?;
                // Pings would go on being answered, and what was refused would seem to be quiet.
                return if is_refused { Err(End::Refused(detail)) } else { Ok(()) };
            }
        };
        with(self.report, |report| report.foreign += parsed.foreign);
        for reject in parsed.rejects {
            self.reject(reject).await?;
        }
        for row in parsed.rows {
            match memory.lately.hear(&row) {
                Novelty::Repeat => {
                    with(self.report, |report| report.repeats += 1);
                    continue;
                }
                Novelty::Late => with(self.report, |report| report.late += 1),
                Novelty::New => {}
            }
            self.hand_on(Heard::Said(row)).await?;
        }
        Ok(())
    }

    async fn reject(&mut self, reject: Reject) -> Result<(), End> {
        with(self.report, |report| report.rejects += 1);
        self.hand_on(Heard::Rejected(self.line.venue, reject)).await
    }

    /// Hands something on. Where there is no room, it waits, and the venue is still sent its pings.
    async fn hand_on(&mut self, heard: Heard) -> Result<(), End> {
        let said = matches!(heard, Heard::Said(_));
        let start = Instant::now();
        let permit = loop {
            tokio::select! {
                biased;
                permit = self.sender.reserve() => match permit {
                    Ok(permit) => break permit,
                    Err(_) => return Err(End::Unheard),
                },
                _ = self.ping.1.tick() => {
                    let ping = self.ping.0.clone();
                    self.send(ping).await?;
                }
            }
        };
        permit.send(heard);
        let waited = start.elapsed();
        with(self.report, |report| {
            report.observations += u64::from(said);
            // Less than this is the machine's own.
            if waited > Duration::from_millis(5) {
                report.slowed += waited;
            }
        });
        Ok(())
    }
}
