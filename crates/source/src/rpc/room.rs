//! How much of what endpoints answer is in memory at once, however much they send.
//!
//! Every reply has a share of the room to itself, and one reply at a time may be longer. Whoever is longer than its share waits
//! for that one place, and its connection with it; nobody who has the place waits for anybody, so that it always becomes free.
//! On a socket a message comes whole, so one of each such endpoint may be as long as its part of the longest reply before it asks
//! for the place. So the bytes held come to no more than
//! `questions at once * share + longest reply + one message of every socket`, which is [`Options::max_bytes_at_once`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Options;

/// The longest answer to a question for logs that could be made smaller.
const LONGEST_LOGS: usize = 8 << 20;

/// The room that all replies share.
#[derive(Debug)]
pub(super) struct Room {
    /// What each reply may take without asking.
    share: usize,
    /// The longest reply that is read.
    longest: usize,
    /// The longest message on a socket.
    message: usize,
    /// The place of the one reply that is longer than its share.
    long: Arc<Semaphore>,
    held: AtomicUsize,
    peak: AtomicUsize,
}

/// What a reply takes up, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    room: Arc<Room>,
    bytes: usize,
    long: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// The room for so many endpoints.
    pub(super) fn new(options: &Options, endpoints: usize) -> Self {
        let endpoints = endpoints.max(1);
        let questions = endpoints.saturating_mul(options.concurrency.max(1) as usize);
        let longest = options.max_reply_bytes.min(options.max_bytes_at_once / 4);
        Self {
            share: (options.max_bytes_at_once - 2 * longest) / questions,
            longest,
            message: longest / endpoints,
            long: Arc::new(Semaphore::new(1)),
            held: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        }
    }

    /// The longest reply that is read, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// The longest message that is read from a socket, in bytes.
    pub(super) fn message(&self) -> usize {
        self.message
    }

    /// The longest answer to a question for logs that could be made smaller, in bytes.
    pub(super) fn logs(&self) -> usize {
        self.share.min(LONGEST_LOGS)
    }

    /// Logs are handed on once they come to so many bytes.
    pub(super) fn enough(&self) -> usize {
        self.logs() / 2
    }

    /// The most bytes that were held at once so far.
    pub(super) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Begins a reply.
    pub(super) fn begin(self: &Arc<Self>) -> Held {
        Held { room: Arc::clone(self), bytes: 0, long: None }
    }
}

impl Held {
    /// Takes room for a reply that has come to so many bytes. It waits where that is more than its share and another one has
    /// the place for long ones.
    pub(crate) async fn grow(&mut self, bytes: usize) {
        if bytes > self.room.share && self.long.is_none() {
            // The semaphore lives as long as the room and is never closed.
            self.long = Arc::clone(&self.room.long).acquire_owned().await.ok();
        }
        let more = bytes.saturating_sub(self.bytes);
        self.bytes += more;
        let held = self.room.held.fetch_add(more, Ordering::Relaxed) + more;
        self.room.peak.fetch_max(held, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn room(most: usize, longest: usize, concurrency: u32, endpoints: usize) -> Arc<Room> {
        let options = Options { max_bytes_at_once: most, max_reply_bytes: longest, concurrency, ..Options::default() };
        Arc::new(Room::new(&options, endpoints))
    }

    #[test]
    fn the_room_is_no_more_than_was_allowed_however_it_is_shared() {
        for (most, longest, concurrency, endpoints) in
            [(512 << 20, 128 << 20, 16, 1), (512 << 20, 1 << 30, 4, 12), (1_000, 10, 16, 3), (4, 4, 1, 1), (0, 9, 0, 0)]
        {
            let room = room(most, longest, concurrency, endpoints);
            let questions = endpoints.max(1) * concurrency.max(1) as usize;
            let bound = questions * room.share + room.longest + room.message * endpoints;
            assert!(bound <= most, "{bound} of {most}");
            assert!(room.logs() <= room.share && room.longest <= longest);
        }
    }

    #[test]
    fn one_reply_at_a_time_is_longer_than_its_share() {
        let room = room(1_000, 200, 6, 1);
        assert_eq!((room.share, room.longest), (100, 200));
        let mut replies: Vec<Held> = (0..4).map(|_| room.begin()).collect();
        for held in &mut replies {
            held.grow(100).now_or_never().expect("nobody waits for its share");
        }
        replies[0].grow(150).now_or_never().expect("the place is free");
        assert!(replies[1].grow(101).now_or_never().is_none(), "and now it is taken");
        replies[0].grow(200).now_or_never().expect("whoever has it waits for nobody");
        assert_eq!(room.peak(), 500);
        drop(replies.remove(0));
        replies[0].grow(200).now_or_never().expect("it is free again");
        drop(replies);
        assert_eq!((room.held.load(Ordering::Relaxed), room.peak()), (0, 500));
    }
}
