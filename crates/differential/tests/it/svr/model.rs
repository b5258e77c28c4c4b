//! The aggregator beside a model: random transmissions, repetitions, forgeries, waits and settings, thousands of them. What is taken
//! is decided by a few lines here, and what readers see by `engine::recapture::view`, written without the contract.

use alloy_primitives::{I256, U256};
use differential::abi;
use differential::chance::Chance;
use differential::evm::ADMIN;
use differential::svr::key::Key;
use differential::svr::oracle::{Reader, Seen, Settings};
use differential::svr::report::{Report, Transmission, Way, integer};
use engine::recapture::facts::Path;
use engine::recapture::view::{self, Reading, View};

use super::{Site, events};
use Way::{Primary, Secondary};

/// How many aggregators live, and how many steps each.
const LIVES: u64 = 40;
const STEPS: usize = 300;

/// A report that was made, and what is known about it.
#[derive(Clone)]
struct Made {
    transmission: Transmission,
    observed_at: u32,
    answer: i128,
    epoch: u64,
    /// How often the aggregator was configured when it was made.
    configuration: u32,
    /// Whether enough observers signed it.
    is_signed: bool,
}

/// What the aggregator should hold.
struct Model {
    view: View,
    /// Moment of observation, answer, moment of recording; the first is round 1.
    rounds: Vec<(u32, i128, u64)>,
    /// The last way of each round that was not both: what only the auction brought.
    auctioned_only: Vec<bool>,
    secondary: usize,
    is_secondary: bool,
    epoch: u64,
    configuration: u32,
    settings: Settings,
}

/// What a transmission does.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    New,
    Exposed,
    Repeated,
}

impl Model {
    /// What the rules say of a transmission, which is then carried out.
    fn bring(&mut self, made: &Made, way: Way, now: u64) -> Result<Taken, &'static str> {
        if made.configuration != self.configuration {
            return Err("ConfigDigestMismatch");
        }
        if way == Secondary
            && let Some(round) = self.find(made)?
        {
            if round <= self.secondary {
                return Err("StaleReport");
            }
            self.secondary = round;
            self.auctioned_only[round - 1] = false;
            self.view.apply(&view::Transmission::Exposed { round: number(round) });
            return Ok(Taken::Exposed);
        }
        let path = if way == Primary { Path::Primary } else { Path::Secondary };
        if made.epoch == self.epoch && self.is_secondary {
            self.is_secondary = way == Secondary;
            if way == Primary {
                *self.auctioned_only.last_mut().unwrap() = false;
            }
            self.view.apply(&view::Transmission::Repeated { path });
            return Ok(Taken::Repeated);
        }
        if made.epoch <= self.epoch {
            return Err("StaleReport");
        }
        if !made.is_signed {
            return Err("SignatureError");
        }
        self.rounds.push((made.observed_at, made.answer, now));
        self.auctioned_only.push(way == Secondary);
        let round = self.rounds.len();
        let reading = Reading {
            round: number(round),
            answer: integer(made.answer),
            observed_at: made.observed_at,
            recorded_at: now,
        };
        self.view.apply(&view::Transmission::Round { reading, path });
        (self.epoch, self.is_secondary) = (made.epoch, way == Secondary);
        if way == Secondary {
            self.secondary = round;
        }
        Ok(Taken::New)
    }

    /// The round of a report among the youngest.
    fn find(&self, made: &Made) -> Result<Option<usize>, &'static str> {
        for (back, (observed_at, answer, _)) in self.rounds.iter().rev().enumerate() {
            if back == self.settings.max_sync as usize {
                return Err("MaxSyncIterations");
            }
            if *observed_at < made.observed_at {
                break;
            }
            if (*observed_at, *answer) == (made.observed_at, made.answer) {
                return Ok(Some(self.rounds.len() - back));
            }
        }
        Ok(None)
    }
}

fn number(round: usize) -> u32 {
    u32::try_from(round).unwrap()
}

fn as_seen(reading: &Reading) -> Seen {
    let Reading { round, answer, observed_at, recorded_at } = *reading;
    Seen { round, answer, observed_at, recorded_at }
}

/// An aggregator, its model, and what was made so far.
struct Life {
    site: Site,
    model: Model,
    made: Vec<Made>,
    chance: Chance,
    /// What the secondary reader saw last, unless a setting was changed since.
    last_round: u32,
    counts: [usize; 4],
}

impl Life {
    fn new(seed: u64) -> Option<Self> {
        let mut chance = Chance::new(seed, 40);
        let settings = Settings {
            cutoff: u32::try_from(chance.below(30)).unwrap(),
            max_sync: u32::try_from(chance.within(1, 8)).unwrap(),
            f: 1,
        };
        let model = Model {
            view: View::new(settings.cutoff, settings.max_sync),
            rounds: Vec::new(),
            auctioned_only: Vec::new(),
            secondary: 0,
            is_secondary: false,
            epoch: 0,
            configuration: 0,
            settings,
        };
        let site = Site::new(settings)?;
        Some(Self { site, model, made: Vec::new(), chance, last_round: 0, counts: [0; 4] })
    }

    fn step(&mut self) {
        match self.chance.below(100) {
            0..=34 => self.bring_new(),
            35..=54 => self.bring_old(),
            55..=64 => self.forge(),
            65..=92 => {
                let seconds = self.chance.pick(&[1, 1, 2, 4, 10, 12, 12, 60]);
                self.site.chain.warp(seconds);
            }
            93..=95 => {
                self.model.settings.cutoff = u32::try_from(self.chance.below(40)).unwrap();
                let seconds = self.model.settings.cutoff;
                self.site.oracle.set_cutoff(&mut self.site.chain, seconds).unwrap();
                self.model.view.apply(&view::Transmission::Cutoff { seconds });
                self.last_round = 0;
            }
            96..=97 => {
                let rounds = u32::try_from(self.chance.within(1, 8)).unwrap();
                let set = abi::words("setMaxSyncIterations(uint32)", &[U256::from(rounds)]);
                let aggregator = self.site.oracle.aggregator;
                self.site.call(ADMIN, aggregator, set).unwrap();
                self.model.settings.max_sync = rounds;
                self.model.view.apply(&view::Transmission::MaxSync { rounds });
                self.last_round = 0;
            }
            _ => {
                self.site.oracle.configure(&mut self.site.chain).unwrap();
                self.model.configuration += 1;
                self.model.epoch = 0;
            }
        }
    }

    /// A report of now or a little earlier, whose answer may well be that of another; most often by one way, sometimes by both.
    fn bring_new(&mut self) {
        let observed_at = u32::try_from(self.site.chain.now() - self.chance.pick(&[0, 0, 1, 3])).unwrap();
        let answer = i128::from(self.chance.within(1, 4));
        self.site.oracle.epoch += self.chance.below(2);
        let transmission = self.site.oracle.sign(&Report::unanimous(observed_at, answer, 4)).unwrap();
        self.remember(transmission, (observed_at, answer), self.site.oracle.epoch, true);
        let ways = self.chance.pick(&[&[Primary][..], &[Secondary], &[Secondary, Primary], &[Primary, Secondary]]);
        let made = self.made.last().unwrap().clone();
        ways.iter().for_each(|way| self.bring(&made, *way));
    }

    /// One of the last reports again, by either way.
    fn bring_old(&mut self) {
        if self.made.is_empty() {
            return;
        }
        let back = 1 + self.chance.index(self.made.len().min(10));
        let made = self.made[self.made.len() - back].clone();
        let way = self.chance.pick(&[Primary, Secondary]);
        self.bring(&made, way);
    }

    /// A report that nobody signed, like one that stands or like none.
    fn forge(&mut self) {
        let known = if self.model.rounds.is_empty() { None } else { Some(self.chance.index(self.model.rounds.len())) };
        let (mut observed_at, mut answer) = known.map_or((1_700_000_000, 1), |place| {
            let (observed_at, answer, _) = self.model.rounds[place];
            (observed_at, answer)
        });
        if self.chance.percent(20) {
            observed_at = u32::try_from(self.site.chain.now()).unwrap();
        }
        if self.chance.percent(20) {
            answer = 5;
        }
        let epoch = self.model.epoch + self.chance.pick(&[0, 0, 1, 5]);
        let nobody = [99, 98].map(|number| Key::new(number).unwrap());
        let transmission =
            Report::unanimous(observed_at, answer, 4).sign(self.site.oracle.digest, epoch, &nobody).unwrap();
        self.remember(transmission, (observed_at, answer), epoch, false);
        let made = self.made.pop().unwrap();
        let way = self.chance.pick(&[Primary, Secondary]);
        self.bring(&made, way);
    }

    fn remember(
        &mut self,
        transmission: Transmission,
        (observed_at, answer): (u32, i128),
        epoch: u64,
        is_signed: bool,
    ) {
        let configuration = self.model.configuration;
        self.made.push(Made { transmission, observed_at, answer, epoch, configuration, is_signed });
    }

    fn bring(&mut self, made: &Made, way: Way) {
        let now = self.site.chain.now();
        let before = self.model.rounds.len();
        let found = self.site.bring(&made.transmission, way).map(|success| events(&success));
        let expected = self.model.bring(made, way, now).map(|taken| {
            let names: &[&str] = match (taken, way) {
                (Taken::New, Primary) => &["NewTransmission", "NewRound", "AnswerUpdated"],
                (Taken::New, Secondary) => &["SecondaryRoundIdUpdated", "NewTransmission", "NewRound", "AnswerUpdated"],
                (Taken::Exposed, _) => &["SecondaryRoundIdUpdated"],
                (Taken::Repeated, _) => &["PrimaryFeedUnlocked"],
            };
            names.to_vec()
        });
        assert_eq!(found, expected.map_err(str::to_owned), "{way:?} {} {}", made.observed_at, made.answer);
        // No round without signatures.
        assert!(made.is_signed || self.model.rounds.len() == before);
        let place = match found {
            Err(_) => 3,
            Ok(names) => usize::from(names.len() == 1) + usize::from(names == ["PrimaryFeedUnlocked"]),
        };
        self.counts[place] += 1;
    }

    /// Both readers see what the model says, and what must hold whatever the model says holds.
    fn check(&mut self) {
        let now = self.site.chain.now();
        let [standard, secondary] =
            [Reader::Standard, Reader::Svr].map(|by| self.site.oracle.seen(&mut self.site.chain, by).unwrap());
        assert_eq!(standard, as_seen(&self.model.view.standard(now).unwrap()), "standard at {now}");
        assert_eq!(secondary, as_seen(&self.model.view.secondary(now).unwrap()), "secondary at {now}");
        // No reader sees an answer that was not recorded.
        for seen in [standard, secondary] {
            let Some(place) = (seen.round as usize).checked_sub(1) else {
                assert_eq!(seen.answer, I256::ZERO);
                continue;
            };
            let (observed_at, answer, recorded_at) = self.model.rounds[place];
            assert_eq!((seen.observed_at, seen.answer, seen.recorded_at), (observed_at, integer(answer), recorded_at));
        }
        // With settings left alone the secondary view never goes back, but where it looks too few rounds back.
        let cutoff = u64::from(self.model.settings.cutoff);
        let recent = self.model.rounds.iter().filter(|(_, _, recorded_at)| recorded_at + cutoff >= now).count();
        if recent < self.model.settings.max_sync as usize {
            assert!(secondary.round >= self.last_round, "{} after {}", secondary.round, self.last_round);
            self.last_round = secondary.round;
            // And every round that is older than the cutoff, or a younger one, is seen.
            let overdue = number(self.model.rounds.len() - recent);
            assert!(secondary.round >= overdue, "{} of {overdue} overdue at {now}", secondary.round);
        } else {
            self.last_round = 0;
        }
        // The newest round, if only the auction brought it, is hidden from standard readers in its own second.
        if let Some((_, _, recorded_at)) = self.model.rounds.last() {
            let is_hidden =
                self.model.is_secondary && self.model.auctioned_only.last() == Some(&true) && *recorded_at == now;
            assert_eq!(standard.round, number(self.model.rounds.len()) - u32::from(is_hidden));
        }
    }
}

#[test]
fn the_contract_and_the_model_agree() {
    let mut counts = [0; 4];
    for seed in 0..LIVES {
        let Some(mut life) = Life::new(seed) else { return };
        for step in 0..STEPS {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                life.step();
                life.check();
            }));
            assert!(result.is_ok(), "seed {seed}, step {step}");
        }
        counts.iter_mut().zip(life.counts).for_each(|(sum, count)| *sum += count);
    }
    let [new, exposed, repeated, refused] = counts;
    println!("{new} new, {exposed} exposed, {repeated} repeated, {refused} refused");
    assert!(counts.iter().all(|count| *count > 300), "{counts:?}");
}
