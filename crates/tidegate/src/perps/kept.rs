//! What venues said before, as the archive keeps it.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::perp::{Instrument, Kind, Observation};
use protocol::standing::Standing;
use protocol::time::{HOUR_US, TimeUs};
use protocol::venue::Venue;
use source::archive::footer::{Span, TimeRange};
use source::archive::perps::kept::{Kept, kept};
use source::archive::{Archive, DataFile};

use super::inputs::Source;
use super::{Found, Origin, known_at};
use crate::text;

/// The contracts of a coin that venues said something of.
pub(crate) fn load(
    archive: &Archive,
    coin: &str,
    venues: &[Venue],
    (window, until): (Option<i64>, TimeUs),
) -> anyhow::Result<Found> {
    let kept = kept(archive)?;
    let mut found = Found::default();
    let is_it =
        |one: &&Instrument| one.base.eq_ignore_ascii_case(coin) && (venues.is_empty() || venues.contains(&one.venue));
    let instruments: Vec<&Instrument> = kept.instruments.iter().filter(is_it).collect();
    if instruments.is_empty() {
        found.notes.push(format!(
            "The archive keeps nothing that venues said of {}; `tidegate map {0} --live` asks and keeps, `tidegate sync perps {0}` listens.",
            text::printable(coin)
        ));
    }
    let asked: BTreeSet<Venue> = instruments.iter().map(|one| one.venue).collect();
    for venue in asked {
        let mut rows: Vec<Observation> = Vec::new();
        for kind in Kind::ALL {
            rows.extend(load_kind(archive, &kept, venue, kind)?);
        }
        rows.retain(|row| known_at(row) <= until);
        for instrument in instruments.iter().filter(|one| one.venue == venue) {
            found.sources.extend(source(&kept, instrument, &rows, window));
        }
    }
    Ok(found)
}

/// What is kept of a kind; of order books the newest, of which the others say nothing.
fn load_kind(archive: &Archive, kept: &Kept, venue: Venue, kind: Kind) -> anyhow::Result<Vec<Observation>> {
    let ends = |file: &DataFile| if let Span::Times { to, .. } = file.footer.span { Some(to) } else { None };
    let of_kind = kept.files.iter().filter(|(of, held, _)| (*of, *held) == (venue, kind));
    let newest = of_kind.filter_map(|(.., file)| ends(file)).max();
    let range = match newest {
        Some(newest) if kind == Kind::Depth => TimeRange { from: TimeUs(newest.0 - HOUR_US), ..TimeRange::ALL },
        Some(_) | None => TimeRange::ALL,
    };
    Ok(source::archive::perps::load(archive, venue, kind, &range)?)
}

/// One contract; none where nothing of it was known yet.
fn source(kept: &Kept, instrument: &Instrument, rows: &[Observation], window: Option<i64>) -> Option<Source> {
    let is_it = |row: &Observation| row.symbol == instrument.symbol;
    let own = || rows.iter().filter(|row| is_it(row));
    let (from, to) = (own().map(|row| row.time).min()?, own().map(|row| row.time).max()?);
    let heard = own().map(|row| row.received).max()?;
    let name: Arc<str> = format!("kept: {} {}", instrument.venue, text::printable(&instrument.symbol)).into();
    let mut source = Source::new(name, Origin::Kept, instrument.venue, Standing::Observed);
    source.take(rows, &is_it, window);
    source.take_tiers(rows, instrument);
    super::model::suppose_open_interest(&mut source);
    let places: Vec<String> =
        kept.places.get(&instrument.venue).into_iter().flatten().map(|at| text::harmless(at)).collect();
    source.notes.push(format!(
        "{}: what the venue said of {from} to {to}, heard last at {heard}, at {}.",
        source.name,
        places.join(", ")
    ));
    Some(source)
}
