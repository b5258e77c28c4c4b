//! Other people's files of positions on the axis: a made-up market with the file's tokens, prices and thresholds.
//!
//! Each pair of token and terms is a reserve with eight decimals. What a file does not say, the user must: thresholds and
//! prices. An account is one (market, address); what stands in several of its rows counts once, the largest of them.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use engine::map::defi::{Group as Moving, Holder, Index, Knows, Market};
use protocol::aave::Revision;
use protocol::aave::account::{Block, Leg};
use protocol::aave::config::{MAX_RESERVES, ReserveConfig, ReserveId};
use protocol::aave::math::Bps;
use protocol::aave::rates::RateModel;
use protocol::aave::reserve::Reserve;
use protocol::amount::Usd8;
use protocol::standing::Standing;
use protocol::{Address, U256};
use source::import::positions::{self, Read, Reading, Side};

use super::Laid;
use super::groups::Group;
use crate::args;
use crate::text;

/// What everybody takes for a dollar.
const DOLLARS: [&str; 10] = ["USDC", "USDT", "DAI", "USDS", "PYUSD", "RLUSD", "USDE", "LUSD", "GHO", "BUSD"];

/// Tokens that a sentence names.
const MOST_NAMED: usize = 3;

/// What the user says of tokens, by their names in small letters.
struct Said {
    prices: BTreeMap<String, Usd8>,
    thresholds: BTreeMap<String, u16>,
    bonuses: BTreeMap<String, u16>,
}

/// A token with the terms of its collateral; those of debt are none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    symbol: String,
    terms: Option<(u16, u16)>,
}

/// One file as a market.
pub(super) fn lay(path: &std::path::Path, args: &args::Map, group: &Group) -> anyhow::Result<Laid> {
    let pair = |text: &String| -> anyhow::Result<(String, String)> {
        let (name, value) =
            text.split_once('=').with_context(|| format!("\"{}\" is not NAME=VALUE", text::printable(text)))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    let reading = Reading {
        overrides: args.map.iter().map(pair).collect::<anyhow::Result<_>>()?,
        only: args.only.iter().map(pair).collect::<anyhow::Result<_>>()?,
    };
    let said = Said {
        prices: named(&args.price, |value| Usd8::parse_rounding(value).ok().filter(|usd| usd.0 > 0))
            .context("--price takes WBTC=64000 in dollars")?,
        thresholds: named(&args.threshold, bps).context("--threshold takes WBTC=78%")?,
        bonuses: named(&args.bonus, bps).context("--bonus takes WBTC=5%")?,
    };
    let read = positions::read(path, &reading)?;
    let mut notes = vec![format!(
        "{}: {} rows taken, {} left out by --only, {} that cannot be read.",
        path.display(),
        text::count(read.rows.len() as u64),
        text::count(read.others),
        text::count(read.rejects)
    )];
    if let Some((row, why)) = &read.first_reject {
        notes.push(format!("The first that cannot is row {row}, which {}.", text::printable(why)));
    }
    let prices = Prices::of(&read, &said, group)?;
    let accounts = accounts(&read, &said, &prices)?;
    let laid = market(path, args, &accounts, &prices)?;
    if accounts.bare > 0 {
        notes.push(format!(
            "{} accounts owe something and hold nothing that the file names; they are left out.",
            text::count(accounts.bare)
        ));
    }
    notes.extend(without_terms(&accounts.without_terms));
    if accounts.differing > 0 {
        notes.push(format!(
            "{} amounts stand in several rows of one account and differ; the largest was taken.",
            text::count(accounts.differing)
        ));
    }
    let priced: Vec<String> = laid.prices.iter().map(|(symbol, usd)| format!("{symbol} {}", text::usd(*usd))).collect();
    notes.push(format!("Prices: {}.", priced.join(", ")));
    let blind = "Other collateral and other debt of these accounts than the file names is not known: with it some stand safer, \
                 some nearer.";
    notes.push(blind.to_owned());
    Ok(Laid { notes, blind_spots: vec![blind.into()], ..laid.laid })
}

/// `NAME=VALUE`, several times.
fn named<T>(texts: &[String], value: impl Fn(&str) -> Option<T>) -> anyhow::Result<BTreeMap<String, T>> {
    let one = |text: &String| {
        let parts = text.split_once('=').and_then(|(name, number)| Some((name, value(number.trim())?)));
        let (name, value) = parts.with_context(|| format!("\"{}\" is not understood", text::printable(text)))?;
        Ok((name.trim().to_ascii_lowercase(), value))
    };
    texts.iter().map(one).collect()
}

/// `78%`, `5.5%`, in basis points.
fn bps(text: &str) -> Option<u16> {
    let Usd8(units) = Usd8::parse_rounding(text.strip_suffix('%')?).ok()?;
    u16::try_from(units / 1_000_000).ok().filter(|bps| *bps <= 10_000)
}

/// What one account holds and owes.
#[derive(Default)]
struct Held {
    /// In `10^-8` tokens.
    amounts: BTreeMap<Kind, [u128; 2]>,
    /// Whether it holds, and owes, what the file values in dollars alone and nobody prices.
    is_unknown: [bool; 2],
}

impl Held {
    /// Whether it holds something (0), or owes something (1).
    fn has(&self, which: usize) -> bool {
        self.is_unknown[which] || self.amounts.values().any(|amounts| amounts[which] > 0)
    }
}

/// Accounts that hold something whose amounts are known.
#[derive(Default)]
struct Accounts {
    held: BTreeMap<(String, Address), Held>,
    /// Those that owe something and hold nothing.
    bare: u64,
    /// Those that owe something, and of which an amount is not known.
    unvalued: u64,
    standing: Option<Standing>,
    differing: u64,
    /// Collateral whose threshold nobody says.
    without_terms: BTreeMap<String, u64>,
}

fn accounts(read: &Read, said: &Said, prices: &Prices<'_>) -> anyhow::Result<Accounts> {
    let mut all = Accounts::default();
    for row in &read.rows {
        let standing = row.standing.as_deref().and_then(Standing::from_word).unwrap_or(Standing::Imported);
        all.standing = Some(all.standing.map_or(standing, |other| other.max(standing)).max(Standing::Imported));
        let key = (row.market.clone().unwrap_or_default(), row.account);
        let mut legs = Vec::new();
        let collateral = row.collateral.as_ref().map(|side| (side, prices.units(side)));
        if let Some((side, units)) = collateral.filter(|(_, units)| *units != Some(0)) {
            let terms = said.terms(side);
            if terms.is_none() {
                *all.without_terms.entry(side.symbol.clone()).or_default() += 1;
            }
            legs.push((Kind { symbol: side.symbol.clone(), terms: Some(terms.unwrap_or((0, 0))) }, 0, units));
        }
        let debt = |side: &Side| (Kind { symbol: side.symbol.clone(), terms: None }, 1, prices.units(side));
        legs.extend(row.debt.as_ref().map(debt));
        let held = all.held.entry(key).or_default();
        for (kind, which, units) in legs {
            let Some(units) = units else {
                held.is_unknown[which] = true;
                continue;
            };
            let amount = &mut held.amounts.entry(kind).or_default()[which];
            if *amount != 0 && *amount != units {
                all.differing += 1;
            }
            *amount = units.max(*amount);
        }
    }
    if let Some((symbol, rows)) = all.without_terms.iter().find(|(symbol, _)| prices.group.holds(symbol)) {
        let symbol = text::printable(symbol);
        bail!(
            "{rows} rows hold {symbol} and say no liquidation threshold; give it with --threshold {symbol}=78%, or name its \
             column with --map threshold=COLUMN"
        );
    }
    let (mut bare, mut unvalued) = (0, 0);
    all.held.retain(|_, held| {
        let (holds, is_known) = (held.has(0), held.is_unknown == [false; 2]);
        bare += u64::from(!holds && held.has(1));
        unvalued += u64::from(holds && !is_known && held.has(1));
        holds && is_known
    });
    Ok(Accounts { bare, unvalued, ..all })
}

/// That collateral counts as nothing because nobody says its threshold.
fn without_terms(rows: &BTreeMap<String, u64>) -> Option<String> {
    let (symbol, _) = rows.first_key_value()?;
    let all: u64 = rows.values().sum();
    let mut named: Vec<String> = rows.keys().take(MOST_NAMED).map(|symbol| text::printable(symbol)).collect();
    if rows.len() > MOST_NAMED {
        named.push(format!("{} more", rows.len() - MOST_NAMED));
    }
    Some(format!(
        "{} rows hold {} and say no liquidation threshold: it secures nothing on the map, and their accounts look nearer than \
         they are; give it with --threshold {}=78%.",
        text::count(all),
        named.join(", "),
        text::printable(symbol)
    ))
}

impl Accounts {
    fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.held.values().flat_map(|held| held.amounts.keys())
    }

    /// Whether every collateral's bonus is said.
    fn knows_bonus(&self) -> bool {
        self.kinds().all(|kind| kind.terms.is_none_or(|(_, bonus)| bonus > 0))
    }
}

/// The value of a row and dollars for a token there.
fn unit_price(side: &Side) -> Option<(Usd8, Usd8)> {
    let Usd8(usd) = side.usd?;
    let price = usd.checked_mul(100_000_000)?.checked_div(i128::try_from(side.amount?).ok()?)?;
    (price > 0).then_some((Usd8(usd), Usd8(price)))
}

impl Said {
    fn terms(&self, side: &Side) -> Option<(u16, u16)> {
        let name = side.symbol.to_ascii_lowercase();
        let threshold = self.thresholds.get(&name).copied().or(side.threshold_bps)?;
        let bonus = self.bonuses.get(&name).copied().or(side.bonus_bps).unwrap_or(0);
        Some((threshold, bonus))
    }
}

/// What tokens cost.
struct Prices<'a> {
    said: &'a Said,
    group: &'a Group,
    /// By token: the largest value of a row, and dollars per token there.
    valued: BTreeMap<String, (Usd8, Usd8)>,
    /// The asset's price.
    anchor: Usd8,
}

impl<'a> Prices<'a> {
    /// The asset's price is as said of it or of what is it, else as the rows value that.
    fn of(read: &Read, said: &'a Said, group: &'a Group) -> anyhow::Result<Self> {
        let mut valued: BTreeMap<String, (Usd8, Usd8)> = BTreeMap::new();
        for side in read.rows.iter().flat_map(|row| row.collateral.iter().chain(&row.debt)) {
            if let Some(found) = unit_price(side) {
                let largest = valued.entry(side.symbol.to_ascii_lowercase()).or_insert(found);
                *largest = found.max(*largest);
            }
        }
        let names = || std::iter::once(&group.asset).chain(&group.price).map(|name| name.to_ascii_lowercase());
        let price = names().find_map(|name| said.prices.get(&name).copied());
        let price = price.or_else(|| names().find_map(|name| valued.get(&name).map(|(_, price)| *price)));
        let anchor = price.with_context(|| {
            let asset = text::printable(&group.asset);
            format!("the file does not say what {asset} costs; give it with --price {asset}=DOLLARS")
        })?;
        Ok(Self { said, group, valued, anchor })
    }

    /// A token's price: as said, as rows value it, the asset's where it is the asset, a dollar where it is one.
    fn price(&self, symbol: &str) -> Option<Usd8> {
        let name = symbol.to_ascii_lowercase();
        let is_asset = self.group.price.iter().any(|price| price.eq_ignore_ascii_case(symbol));
        let is_dollar = DOLLARS.iter().any(|dollar| dollar.eq_ignore_ascii_case(symbol));
        let said = self.said.prices.get(&name).copied();
        let valued = said.or_else(|| self.valued.get(&name).map(|(_, price)| *price));
        valued.or(is_asset.then_some(self.anchor)).or(is_dollar.then_some(Usd8(100_000_000)))
    }

    /// How much, in `10^-8` tokens; from its value where the file says no more and the price is known.
    fn units(&self, side: &Side) -> Option<u128> {
        if side.amount.is_some() {
            return side.amount;
        }
        let Usd8(usd) = side.usd?;
        let price = if usd == 0 { 1 } else { self.price(&side.symbol)?.0 };
        u128::try_from(usd.checked_mul(100_000_000)?.checked_div(price)?).ok()
    }
}

struct WithPrices {
    laid: Laid,
    prices: BTreeMap<String, Usd8>,
}

/// The made-up markets and their accounts: one for each market that the file names.
fn market(
    path: &std::path::Path,
    args: &args::Map,
    accounts: &Accounts,
    prices: &Prices<'_>,
) -> anyhow::Result<WithPrices> {
    let kinds: std::collections::BTreeSet<&Kind> = accounts.kinds().collect();
    if kinds.len() > usize::from(MAX_RESERVES) {
        bail!("{}: {} tokens and terms are more than the {MAX_RESERVES} of a market", path.display(), kinds.len());
    }
    let ids: BTreeMap<&Kind, ReserveId> = kinds.iter().copied().zip((0..).map(ReserveId)).collect();
    let price = |kind: &Kind| prices.price(&kind.symbol);
    let to_units = |kind: &&Kind| price(kind).and_then(|usd| u128::try_from(usd.0).ok()).map_or(U256::ZERO, U256::from);
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let market = Market {
        name: file.as_str().into(),
        chain: None,
        revision: Revision::V3_6,
        reserves: kinds.iter().map(reserve).collect(),
        e_modes: BTreeMap::new(),
        block: Block { now: args.moment()?, prices: kinds.iter().map(to_units).collect(), ..Block::default() },
        dollar: U256::from(100_000_000_u64),
        group: Moving {
            members: ids.iter().filter(|(kind, _)| prices.group.holds(&kind.symbol)).map(|(_, id)| *id).collect(),
            base_moves: false,
        },
        anchor: prices.anchor,
        standing: accounts.standing.unwrap_or(Standing::Imported),
        knows: Knows { bonus: accounts.knows_bonus(), fee: false },
    };
    let mut of_market: BTreeMap<&str, Vec<(u32, Vec<Leg>)>> = BTreeMap::new();
    for (id, ((name, _), held)) in (0_u32..).zip(&accounts.held) {
        of_market.entry(name).or_default().push((id, legs(&held.amounts, &ids)));
    }
    let index = |(name, people): (&str, Vec<(u32, Vec<Leg>)>)| {
        let name = if name.is_empty() { market.name.clone() } else { text::printable(name).into() };
        let holders = people.iter().map(|(id, legs)| Holder { id: *id, e_mode: 0, legs });
        Index::new(Market { name, ..market.clone() }, holders)
    };
    let laid = Laid {
        source: file.clone(),
        indexes: of_market.into_iter().map(index).collect(),
        addresses: (0_u32..).zip(accounts.held.keys().map(|(_, account)| *account)).collect(),
        symbols: kinds.iter().map(|kind| text::printable(&kind.symbol)).collect(),
        notes: Vec::new(),
        unvalued: accounts.unvalued,
        bare: accounts.bare,
        blind_spots: Vec::new(),
    };
    let prices = kinds.iter().filter_map(|kind| Some((text::printable(&kind.symbol), price(kind)?))).collect();
    Ok(WithPrices { laid, prices })
}

fn reserve(kind: &&Kind) -> Reserve {
    let (threshold, bonus) = kind.terms.unwrap_or_default();
    let config = ReserveConfig {
        liquidation_threshold: Bps(threshold),
        liquidation_bonus: Bps(10_000_u16.saturating_add(bonus)),
        decimals: 8,
        active: true,
        ..ReserveConfig::default()
    };
    Reserve::new(config, RateModel::default())
}

fn legs(held: &BTreeMap<Kind, [u128; 2]>, ids: &BTreeMap<&Kind, ReserveId>) -> Vec<Leg> {
    let leg = |(kind, [supplied, borrowed]): (&Kind, &[u128; 2])| Leg {
        supplied: *supplied,
        borrowed: *borrowed,
        stable_debt: 0,
        reserve: ids[kind],
        is_collateral: *supplied != 0,
        is_borrowing: *borrowed != 0,
    };
    held.iter().map(leg).collect()
}
