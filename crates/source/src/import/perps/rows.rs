//! Rows of a table as observations.

use std::sync::Arc;

use protocol::Decimal;
use protocol::perp::{
    Candle, Counting, Distortion, Distortions, Funding, Kind, Liquidation, Margin, Measure, Observation, Observed,
    OpenInterest, Position, PricedAt, Series,
};
use protocol::time::{HOUR_US, TimeUs};
use protocol::venue::Side;

use super::super::cell::Cell;
use super::super::input::{Input, Row};
use super::cells::{self, Why};
use super::{Mode, Settings, column_of, listed, printable};
use crate::error::{Error, Result};

/// A field: its name, and the column names by which it is known, the most telling first, in lower case with everything but
/// letters and digits left out.
type Field = (&'static str, &'static [&'static str]);

const TIME: Field = (
    "time",
    &[
        "time",
        "timestamp",
        "opentime",
        "date",
        "datetime",
        "snapshot",
        "snapshottime",
        "fundingtime",
        "ts",
        "datetimeutc",
    ],
);
const COIN: Field = ("coin", &["coin", "symbol", "base", "asset", "instrument"]);
const VENUE: Field = ("venue", &["venue", "exchange"]);
const PRICE: Field = ("price", &["price", "markprice", "markpx"]);

/// The fields of a kind.
fn fields(kind: Kind) -> Vec<Field> {
    let mut fields = vec![TIME, COIN, VENUE];
    let own: &[Field] = match kind {
        Kind::Candles => &[
            ("open", &["open", "o"]),
            ("high", &["high", "h"]),
            ("low", &["low", "l"]),
            ("close", &["close", "c"]),
            ("volume_coins", &["volumecoins", "basevolume", "volumebase"]),
            ("volume_usd", &["volumeusd", "turnover", "quotevolume", "turnoverusd", "quoteassetvolume"]),
            ("taker_buy_coins", &["takerbuycoins", "takerbuybasevolume", "takerbuybaseassetvolume"]),
            ("taker_buy_usd", &["takerbuyusd", "takerbuyquotevolume", "takerbuyquoteassetvolume"]),
        ],
        Kind::OpenInterest => &[
            ("open_interest_coins", &["openinterestcoins", "sumopeninterest", "oicoins"]),
            ("open_interest_usd", &["openinterestusd", "oiusd", "sumopeninterestvalue", "openinterestvalue"]),
            PRICE,
        ],
        Kind::Liquidations => &[
            ("side", &["side", "positionside", "direction"]),
            ("coins", &["coins", "size", "quantity", "qty"]),
            ("usd", &["usd", "valueusd", "notionalusd", "amountusd"]),
            ("long_usd", &["longusd", "longliquidationusd", "aggregatedlongliquidationusd"]),
            ("short_usd", &["shortusd", "shortliquidationusd", "aggregatedshortliquidationusd"]),
            PRICE,
        ],
        Kind::Positions => &[
            ("account", &["account", "user", "address", "wallet"]),
            ("side", &["side", "positionside", "direction"]),
            ("coins", &["coins", "size", "quantity", "szi"]),
            ("entry", &["entry", "entrypx", "entryprice"]),
            ("value", &["value", "positionvalue", "notionalusd", "valueusd"]),
            ("leverage", &["leverage"]),
            ("max_leverage", &["maxleverage"]),
            ("margin", &["margin", "marginused", "isolatedmargin"]),
            ("mode", &["mode", "margintype", "marginmode", "leveragetype"]),
            ("account_value", &["accountvalue", "equity"]),
            ("maintenance", &["maintenance", "crossmaintenancemarginused"]),
            ("liquidation_price", &["liquidationprice", "liquidationpx", "liqprice", "liqpx"]),
            PRICE,
        ],
        Kind::Funding => {
            &[("rate", &["rate", "fundingrate"]), ("interval_hours", &["intervalhours", "fundingintervalhours"])]
        }
        Kind::Prices | Kind::Depth | Kind::Tiers | Kind::Gaps => &[],
    };
    fields.extend(own);
    fields
}

/// What keeps a file from being read as a kind: the fields, of which one at least is needed, and what helps.
fn needs(kind: Kind) -> Vec<(&'static [&'static str], &'static str)> {
    let mut needs: Vec<(&'static [&'static str], &'static str)> = vec![(&["time"], "--map time=COLUMN")];
    let own: &[(&[&str], &str)] = match kind {
        Kind::Candles => &[
            (&["open"], "--map open=COLUMN"),
            (&["high"], "--map high=COLUMN"),
            (&["low"], "--map low=COLUMN"),
            (&["close"], "--map close=COLUMN"),
        ],
        Kind::OpenInterest => &[(
            &["open_interest_coins", "open_interest_usd"],
            "--map open_interest_coins=COLUMN or --map open_interest_usd=COLUMN, by its unit",
        )],
        Kind::Liquidations => &[(
            &["coins", "usd", "long_usd", "short_usd"],
            "--map coins=COLUMN or --map usd=COLUMN for events, --map long_usd=COLUMN --map short_usd=COLUMN for sums",
        )],
        Kind::Positions => &[
            (&["account"], "--map account=COLUMN"),
            (&["coins"], "--map coins=COLUMN"),
            (&["value", "price"], "--map value=COLUMN or --map price=COLUMN"),
            (&["leverage"], "--map leverage=COLUMN"),
            (&["account_value"], "--map account_value=COLUMN"),
        ],
        Kind::Funding => &[(&["rate"], "--map rate=COLUMN")],
        Kind::Prices | Kind::Depth | Kind::Tiers | Kind::Gaps => &[],
    };
    needs.extend(own);
    needs
}

/// Reads the rows of one file.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    settings: &'a Settings,
    columns: Vec<(&'static str, usize)>,
    names: Vec<String>,
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &Input, settings: &'a Settings) -> Result<Self> {
        let fields = fields(settings.kind);
        let mut columns = Vec::new();
        for (field, names) in &fields {
            let place = match settings.overrides.iter().find(|(named, _)| named == field) {
                Some((_, column)) if column.is_empty() => None,
                Some((_, column)) => Some(column_of(input, column)?),
                None => names.iter().find_map(|name| input.columns().iter().position(|column| plain(column) == **name)),
            };
            columns.extend(place.map(|place| (*field, place)));
        }
        let unfit = |what: String, advice: String| Error::Unfit { what, advice };
        if let Some((named, _)) =
            settings.overrides.iter().find(|(named, _)| fields.iter().all(|(name, _)| name != named))
        {
            let known: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            let what = format!("{}: {} have no field \"{}\"", input.path().display(), settings.kind, printable(named));
            return Err(unfit(what, format!("fields are {}", known.join(", "))));
        }
        let reader = Self { settings, columns, names: input.columns().to_vec() };
        let path = input.path().display();
        for (needed, advice) in needs(settings.kind) {
            if !needed.iter().any(|field| reader.place(field).is_some()) {
                let what =
                    format!("{path}: no column is known as {} (its columns: {})", needed.join(" or "), listed(input));
                return Err(unfit(what, format!("name it with {advice}")));
            }
        }
        match reader.unsaid() {
            None => Ok(reader),
            Some((what, advice)) => Err(unfit(format!("{path}: {what}"), advice.to_owned())),
        }
    }

    /// What the file does not tell and the user has not said.
    fn unsaid(&self) -> Option<(&'static str, &'static str)> {
        let has = |field| self.place(field).is_some();
        let given = self.settings;
        let is = |kind| given.kind == kind;
        let venue = self.place("venue").and_then(|place| self.names.get(place));
        let is_told_apart = venue.is_none_or(|venue| given.only.iter().any(|(column, _)| column == venue));
        let sums = is(Kind::Liquidations) && (has("long_usd") || has("short_usd"));
        let cases = [
            (
                !is_told_apart,
                "it has a column of venues, and nothing says which rows are this one's",
                "add --only COLUMN=NAME, or --map venue= to take all rows for this venue's",
            ),
            (given.coin.is_none() && !is(Kind::Positions), "nothing says which coin its rows are of", "add --coin BTC"),
            (
                given.coin.is_none() && !has("coin"),
                "no column is known as the coin",
                "add --coin BTC, or --map coin=COLUMN",
            ),
            (
                given.interval.is_none() && (is(Kind::Candles) || sums),
                "nothing says how long the stretch is that a row is about",
                "add --interval 1h",
            ),
            (
                given.interval.is_none() && is(Kind::Funding) && !has("interval_hours"),
                "nothing says for how long a rate is",
                "add --interval 8h, or --map interval_hours=COLUMN",
            ),
            (
                given.counting.is_none() && is(Kind::OpenInterest),
                "nothing says whether its open interest counts one side or both",
                "add --counting one-side, both-sides or unstated",
            ),
            (
                is(Kind::OpenInterest) && !has("open_interest_coins") && !has("price") && given.closes.is_empty(),
                "it has open interest in dollars and no price to turn them into coins",
                "import the candles of the same dataset, venue and coin first, or name a column with --map price=COLUMN",
            ),
            (
                is(Kind::Liquidations) && !has("price") && given.closes.is_empty(),
                "it has no price of liquidations",
                "import the candles of the same dataset, venue and coin first, or name a column with --map price=COLUMN",
            ),
            (
                is(Kind::Liquidations) && !sums && !has("side"),
                "no column is known as the side of the position",
                "name it with --map side=COLUMN",
            ),
            (
                is(Kind::Positions) && !has("mode") && given.margin.is_none(),
                "nothing says whether its positions are under cross or isolated margin",
                "add --margin cross or --margin isolated, or --map mode=COLUMN",
            ),
        ];
        cases.into_iter().find(|(lacks, ..)| *lacks).map(|(_, what, advice)| (what, advice))
    }

    fn place(&self, field: &str) -> Option<usize> {
        self.columns.iter().find(|(name, _)| *name == field).map(|(_, place)| *place)
    }

    /// Which field is read from which column.
    pub(super) fn columns(&self) -> Vec<(&'static str, String)> {
        let named = |(field, place): &(&'static str, usize)| Some((*field, self.names.get(*place)?.clone()));
        self.columns.iter().filter_map(named).collect()
    }

    /// Columns that are not read.
    pub(super) fn unread(&self) -> Vec<String> {
        let is_read = |at: usize| self.columns.iter().any(|(_, place)| *place == at);
        self.names.iter().enumerate().filter(|(at, _)| !is_read(*at)).map(|(_, name)| name.clone()).collect()
    }

    /// What a row says; none where it is of another coin.
    pub(super) fn row(&self, row: &Row<'_>) -> std::result::Result<Option<Vec<Observation>>, Why> {
        if let Row::Broken(why, _) = row {
            return Err(("malformed row", format!("it {why}")));
        }
        let of = Of { reader: self, row };
        let named = of.text("coin");
        let symbol: Arc<str> = match (&self.settings.coin, named) {
            (Some(coin), Some(named)) if !named.eq_ignore_ascii_case(coin) => return Ok(None),
            (Some(coin), _) => coin.clone(),
            (None, Some(named)) if named.len() <= 64 => named.as_str().into(),
            (None, _) => return Err(("no coin", "no coin is named".to_owned())),
        };
        let time = cells::time(&of.cell("time"))?;
        let said = |time: TimeUs, distortions: Distortions, fact: Observed| Observation {
            venue: self.settings.venue,
            symbol: symbol.clone(),
            time,
            received: self.settings.received,
            distortions,
            fact,
        };
        Ok(Some(match self.settings.kind {
            Kind::Candles => vec![said(time, Distortions::NONE, Observed::Candle(of.candle()?))],
            Kind::OpenInterest => {
                let time = self.end(time)?;
                let (open, distortions) = of.open_interest(&symbol, time)?;
                vec![said(time, distortions, Observed::OpenInterest(open))]
            }
            Kind::Funding => vec![said(time, Distortions::NONE, Observed::Funding(of.funding(time)?))],
            Kind::Liquidations => {
                let found = of.liquidations(&symbol, time)?.into_iter();
                found.map(|(of, distortions)| said(time, distortions, Observed::Liquidation(of))).collect()
            }
            Kind::Positions => {
                let distortions = Distortions::NONE.with(Distortion::PartOfAccounts);
                vec![said(time, distortions, Observed::Position(of.position()?))]
            }
            Kind::Prices | Kind::Depth | Kind::Tiers | Kind::Gaps => {
                return Err(("not read", format!("{} are not read from files", self.settings.kind)));
            }
        }))
    }

    /// The end of the stretch that begins at a moment; the moment itself where a row is about a moment.
    fn end(&self, time: TimeUs) -> std::result::Result<TimeUs, Why> {
        let end = time.0.checked_add(self.settings.interval.unwrap_or(0)).and_then(|end| TimeUs(end).plausible());
        end.ok_or_else(|| ("no time", "its stretch ends at no moment".to_owned()))
    }
}

/// A row, by the names of its fields.
struct Of<'a> {
    reader: &'a Reader<'a>,
    row: &'a Row<'a>,
}

impl<'a> Of<'a> {
    fn cell(&self, field: &str) -> Cell<'a> {
        self.reader.place(field).map_or(Cell::Null, |place| self.row.cell(place))
    }

    fn text(&self, field: &str) -> Option<String> {
        self.cell(field).shown().map(|text| text.trim().to_owned())
    }

    fn candle(&self) -> std::result::Result<Candle, Why> {
        let price = |field: &str| cells::positive(&self.cell(field), field);
        let [open, high, low, close] = [price("open")?, price("high")?, price("low")?, price("close")?];
        if [open, close].iter().any(|price| *price > high || *price < low) {
            return Err(("crossed prices", format!("open {open} and close {close} are not within {low} to {high}")));
        }
        let amount = |field: &str| cells::not_negative(&self.cell(field), field);
        let (volume, turnover) = (amount("volume_coins")?, amount("volume_usd")?);
        let taker = match (amount("taker_buy_coins")?, amount("taker_buy_usd")?, turnover, volume) {
            (Some(coins), ..) => Some(coins),
            // Dollars that buyers took are as many of the coins as of all dollars.
            (None, Some(usd), Some(turnover), Some(volume)) if turnover > Decimal::ZERO => {
                usd.checked_div(turnover).and_then(|share| share.checked_mul(volume)).map(|coins| coins.round_dp(18))
            }
            (None, Some(usd), ..) => usd.checked_div(close).map(|coins| coins.round_dp(18)),
            (None, None, ..) => None,
        };
        Ok(Candle {
            series: Series::Trade,
            interval: self.reader.settings.interval.unwrap_or(0),
            open,
            high,
            low,
            close,
            volume,
            turnover,
            taker_buy: taker,
            finished: true,
        })
    }

    /// The price of a row at a moment: its own, or the last of the dataset's candles.
    fn price(&self, symbol: &Arc<str>, time: TimeUs) -> std::result::Result<Decimal, Why> {
        if let Some(price) = cells::number(&self.cell("price"), "the price")? {
            return if price > Decimal::ZERO {
                Ok(price)
            } else {
                Err(("not above zero", format!("the price is {price}")))
            };
        }
        let none = || ("no price", format!("no candle of the dataset tells the price at {time}"));
        self.reader.settings.closes.at(symbol, time).ok_or_else(none)
    }

    fn open_interest(&self, symbol: &Arc<str>, time: TimeUs) -> std::result::Result<(OpenInterest, Distortions), Why> {
        let amount = |field: &str| cells::not_negative(&self.cell(field), field);
        let counting = self.reader.settings.counting.unwrap_or(Counting::Unstated);
        let mut distortions = Distortions::NONE;
        let halved = |value: Decimal| if counting == Counting::BothSides { half(value) } else { Some(value) };
        match counting {
            Counting::BothSides => distortions = distortions.with(Distortion::Halved),
            Counting::Unstated => distortions = distortions.with(Distortion::SidesUnstated),
            Counting::OneSide => {}
        }
        let too_large = || ("too large", "the open interest is too large".to_owned());
        let (coins, usd) = (amount("open_interest_coins")?, amount("open_interest_usd")?);
        let (reported, unit) = match (coins, usd) {
            (Some(coins), _) => (coins, Measure::Coins),
            (None, Some(usd)) => (usd, Measure::Quote),
            (None, None) => return Err(("missing", "the open interest is missing".to_owned())),
        };
        let coins = match coins {
            Some(coins) => coins,
            None => reported.checked_div(self.price(symbol, time)?).ok_or_else(too_large)?,
        };
        let open = OpenInterest {
            coins: halved(coins).ok_or_else(too_large)?.round_dp(18).normalize(),
            usd: usd.map(halved).map(|usd| usd.ok_or_else(too_large)).transpose()?,
            reported,
            counting,
            unit,
        };
        Ok((open, distortions))
    }

    fn funding(&self, time: TimeUs) -> std::result::Result<Funding, Why> {
        let hours = cells::not_negative(&self.cell("interval_hours"), "the interval")?;
        let stated = hours.and_then(|hours| i64::try_from(hours).ok()).and_then(|hours| hours.checked_mul(HOUR_US));
        let rate = cells::needed(&self.cell("rate"), "the rate")?;
        if rate.abs() >= Decimal::ONE {
            return Err(("no rate", format!("a rate of {rate} is more than the position")));
        }
        let interval = stated.or(self.reader.settings.interval).filter(|interval| *interval > 0);
        Ok(Funding { rate, interval, settled: true, pays_at: Some(time) })
    }

    fn side(&self) -> std::result::Result<Option<Side>, Why> {
        let Some(text) = self.text("side") else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "long" => Ok(Some(Side::Long)),
            "short" => Ok(Some(Side::Short)),
            other => Err(("no side", format!("the position's side is neither long nor short: {}", printable(other)))),
        }
    }

    /// One event, or the sums of either side.
    fn liquidations(
        &self,
        symbol: &Arc<str>,
        time: TimeUs,
    ) -> std::result::Result<Vec<(Liquidation, Distortions)>, Why> {
        let amount = |field: &str| cells::not_negative(&self.cell(field), field);
        let too_large = || ("too large", "the liquidation is too large".to_owned());
        let sums = [(Side::Long, amount("long_usd")?), (Side::Short, amount("short_usd")?)];
        let has_price = cells::number(&self.cell("price"), "the price")?.is_some();
        let distortions = if has_price { Distortions::NONE } else { Distortions::NONE.with(Distortion::NotTraded) };
        let priced_at = if has_price { PricedAt::Average } else { PricedAt::Mark };
        if sums.iter().any(|(_, usd)| usd.is_some()) {
            let price = self.price(symbol, self.reader.end(time)?)?;
            let mut found = Vec::new();
            for (side, usd) in sums {
                let Some(usd) = usd else { continue };
                let coins = usd.checked_div(price).ok_or_else(too_large)?.round_dp(18).normalize();
                let of = Liquidation { side, coins, price, priced_at, usd: Some(usd), ordinal: 0 };
                found.push((of, distortions.with(Distortion::Summed)));
            }
            return Ok(found);
        }
        let side = self.side()?.ok_or_else(|| ("no side", "the side is missing".to_owned()))?;
        let price = self.price(symbol, time)?;
        let (coins, usd) = match (amount("coins")?, amount("usd")?) {
            (Some(coins), usd) => (coins, usd.or_else(|| coins.checked_mul(price)).ok_or_else(too_large)?),
            (None, Some(usd)) => (usd.checked_div(price).ok_or_else(too_large)?, usd),
            (None, None) => return Err(("missing", "the size is missing".to_owned())),
        };
        let (coins, usd) = (coins.round_dp(18).normalize(), Some(usd.round_dp(18).normalize()));
        Ok(vec![(Liquidation { side, coins, price, priced_at, usd, ordinal: 0 }, distortions)])
    }

    fn position(&self) -> std::result::Result<Position, Why> {
        let account = cells::account(&self.cell("account"))?;
        let account = account.ok_or_else(|| ("no account", "the account is missing".to_owned()))?;
        let size = cells::needed(&self.cell("coins"), "the size")?;
        if size.is_zero() {
            return Err(("no size", "the size is 0".to_owned()));
        }
        let side = match (self.side()?, size) {
            (Some(side), size) if size > Decimal::ZERO => side,
            // A signed size says its side itself.
            (None | Some(Side::Short), size) if size < Decimal::ZERO => Side::Short,
            (None, _) if self.reader.place("side").is_none() => Side::Long,
            (None, _) => return Err(("no side", "the side is missing".to_owned())),
            (Some(_), _) => return Err(("no side", format!("it is a long of {size}"))),
        };
        let coins = size.abs();
        let value = match cells::not_negative(&self.cell("value"), "the value")? {
            Some(value) => value,
            None => cells::positive(&self.cell("price"), "the price")?
                .checked_mul(coins)
                .ok_or_else(|| ("too large", "the value is too large".to_owned()))?,
        };
        let above_zero = |field: &str| -> std::result::Result<Option<Decimal>, Why> {
            Ok(cells::number(&self.cell(field), field)?.filter(|value| *value > Decimal::ZERO))
        };
        let account_value = cells::needed(&self.cell("account_value"), "the account's value")?;
        Ok(Position {
            account,
            side,
            coins,
            entry: above_zero("entry")?,
            value,
            leverage: cells::positive(&self.cell("leverage"), "the leverage")?,
            max_leverage: above_zero("max_leverage")?,
            margin: self.margin(side, value, account_value)?,
            account_value,
            liquidation_price: above_zero("liquidation_price")?,
        })
    }

    fn margin(&self, side: Side, value: Decimal, account_value: Decimal) -> std::result::Result<Margin, Why> {
        let mode = match self.text("mode").map(|mode| mode.to_ascii_lowercase()).as_deref() {
            Some("cross") => Some(Mode::Cross),
            Some("isolated") => Some(Mode::Isolated),
            Some(other) => {
                return Err(("no margin", format!("its margin is neither cross nor isolated: {}", printable(other))));
            }
            None => self.reader.settings.margin,
        };
        match mode {
            None => Err(("no margin", "nothing says whether it is cross or isolated".to_owned())),
            Some(Mode::Cross) => {
                let maintenance = cells::not_negative(&self.cell("maintenance"), "the maintenance margin")?;
                Ok(Margin::Cross { account_value, maintenance })
            }
            Some(Mode::Isolated) => {
                let equity = cells::needed(&self.cell("margin"), "the isolated margin")?;
                let held = value.checked_mul(side.sign()).and_then(|held| equity.checked_sub(held));
                let cash = held.ok_or_else(|| ("too large", "the margin is too large".to_owned()))?;
                Ok(Margin::Isolated { equity, cash })
            }
        }
    }
}

fn half(value: Decimal) -> Option<Decimal> {
    value.checked_div(Decimal::TWO)
}
