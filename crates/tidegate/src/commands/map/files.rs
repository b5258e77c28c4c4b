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
    let mut accounts = accounts(&read, &said, group)?;
    let before = accounts.held.len();
    accounts.held.retain(|_, held| held.values().any(|[supplied, _]| *supplied > 0));
    let bare = before - accounts.held.len();
    let anchor = said.anchor(group, &accounts)?;
    let laid = market(path, args, group, &accounts, &said, anchor)?;
    if bare > 0 {
        notes.push(format!(
            "{} accounts owe something and hold nothing that the file names; they are left out.",
            text::count(bare as u64)
        ));
    }
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

/// What accounts hold and owe, in `10^-8` tokens.
#[derive(Default)]
struct Accounts {
    held: BTreeMap<(String, Address), BTreeMap<Kind, [u128; 2]>>,
    /// By token: the largest value of a row, and dollars per token there.
    usd: BTreeMap<String, (Usd8, Usd8)>,
    standing: Option<Standing>,
    differing: u64,
    /// Collateral whose threshold nobody says.
    without_terms: BTreeMap<String, u64>,
}

fn accounts(read: &Read, said: &Said, group: &Group) -> anyhow::Result<Accounts> {
    let mut all = Accounts::default();
    for row in &read.rows {
        let standing = row.standing.as_deref().and_then(Standing::from_word).unwrap_or(Standing::Imported);
        all.standing = Some(all.standing.map_or(standing, |other| other.max(standing)).max(Standing::Imported));
        let key = (row.market.clone().unwrap_or_default(), row.account);
        let mut legs = Vec::new();
        let collateral = row.collateral.as_ref().map(|side| (side, said.units(side)));
        if let Some((side, units)) = collateral.filter(|(_, units)| *units != Some(0)) {
            let terms = said.terms(side);
            if terms.is_none() {
                *all.without_terms.entry(side.symbol.clone()).or_default() += 1;
            }
            legs.push((Kind { symbol: side.symbol.clone(), terms: Some(terms.unwrap_or((0, 0))) }, 0, side, units));
        }
        let debt = |side: &Side| (Kind { symbol: side.symbol.clone(), terms: None }, said.units(side));
        legs.extend(row.debt.as_ref().map(|side| (debt(side).0, 1, side, debt(side).1)));
        let held = all.held.entry(key).or_default();
        for (kind, which, side, units) in legs {
            // A value alone, of a token whose price nobody says, is too much to be known: its account is left out.
            let units = units.unwrap_or(u128::MAX);
            if let Some(found) = unit_price(side) {
                let largest = all.usd.entry(side.symbol.to_ascii_lowercase()).or_insert(found);
                *largest = found.max(*largest);
            }
            let amount = &mut held.entry(kind).or_default()[which];
            if *amount != 0 && *amount != units {
                all.differing += 1;
            }
            *amount = units.max(*amount);
        }
    }
    if let Some((symbol, rows)) = all.without_terms.iter().find(|(symbol, _)| group.holds(symbol)) {
        let symbol = text::printable(symbol);
        bail!(
            "{rows} rows hold {symbol} and say no liquidation threshold; give it with --threshold {symbol}=78%, or name its \
             column with --map threshold=COLUMN"
        );
    }
    Ok(all)
}

impl Accounts {
    /// Whether every collateral's bonus is said.
    fn knows_bonus(&self) -> bool {
        self.held.values().flat_map(BTreeMap::keys).all(|kind| kind.terms.is_none_or(|(_, bonus)| bonus > 0))
    }
}

/// The value of a row and dollars for a token there.
fn unit_price(side: &Side) -> Option<(Usd8, Usd8)> {
    let Usd8(usd) = side.usd?;
    let price = usd.checked_mul(100_000_000)?.checked_div(i128::try_from(side.amount?).ok()?)?;
    (price > 0).then_some((Usd8(usd), Usd8(price)))
}

impl Said {
    /// How much, in `10^-8` tokens; from its value where the file says no more and the price is known.
    fn units(&self, side: &Side) -> Option<u128> {
        if let Some(units) = side.amount {
            return Some(units);
        }
        let name = side.symbol.to_ascii_lowercase();
        let is_dollar = DOLLARS.iter().any(|dollar| dollar.eq_ignore_ascii_case(&name));
        let Usd8(price) = self.prices.get(&name).copied().or(is_dollar.then_some(Usd8(100_000_000)))?;
        u128::try_from(side.usd?.0.checked_mul(100_000_000)?.checked_div(price)?).ok()
    }

    fn terms(&self, side: &Side) -> Option<(u16, u16)> {
        let name = side.symbol.to_ascii_lowercase();
        let threshold = self.thresholds.get(&name).copied().or(side.threshold_bps)?;
        let bonus = self.bonuses.get(&name).copied().or(side.bonus_bps).unwrap_or(0);
        Some((threshold, bonus))
    }

    /// The asset's price: as said of it or of what is it, else as the rows value that.
    fn anchor(&self, group: &Group, accounts: &Accounts) -> anyhow::Result<Usd8> {
        let names = || std::iter::once(&group.asset).chain(&group.price).map(|name| name.to_ascii_lowercase());
        let said = names().find_map(|name| self.prices.get(&name).copied());
        let price = said.or_else(|| names().find_map(|name| accounts.usd.get(&name).map(|(_, price)| *price)));
        price.with_context(|| {
            let asset = text::printable(&group.asset);
            format!("the file does not say what {asset} costs; give it with --price {asset}=DOLLARS")
        })
    }

    /// A token's price: as said, the asset's where it is the asset, as rows value it, a dollar where it is one.
    fn price(&self, symbol: &str, group: &Group, accounts: &Accounts, anchor: Usd8) -> Option<Usd8> {
        let name = symbol.to_ascii_lowercase();
        let is_asset = group.price.iter().any(|price| price.eq_ignore_ascii_case(symbol));
        let is_dollar = DOLLARS.iter().any(|dollar| dollar.eq_ignore_ascii_case(symbol));
        let said = self.prices.get(&name).copied();
        let valued = said.or_else(|| accounts.usd.get(&name).map(|(_, price)| *price));
        valued.or(is_asset.then_some(anchor)).or(is_dollar.then_some(Usd8(100_000_000)))
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
    group: &Group,
    accounts: &Accounts,
    said: &Said,
    anchor: Usd8,
) -> anyhow::Result<WithPrices> {
    let kinds: std::collections::BTreeSet<&Kind> = accounts.held.values().flat_map(BTreeMap::keys).collect();
    if kinds.len() > usize::from(MAX_RESERVES) {
        bail!("{}: {} tokens and terms are more than the {MAX_RESERVES} of a market", path.display(), kinds.len());
    }
    let ids: BTreeMap<&Kind, ReserveId> = kinds.iter().copied().zip((0..).map(ReserveId)).collect();
    let price = |kind: &Kind| said.price(&kind.symbol, group, accounts, anchor);
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
            members: ids.iter().filter(|(kind, _)| group.holds(&kind.symbol)).map(|(_, id)| *id).collect(),
            base_moves: false,
        },
        anchor,
        standing: accounts.standing.unwrap_or(Standing::Imported),
        knows: Knows { bonus: accounts.knows_bonus(), fee: false },
    };
    let mut of_market: BTreeMap<&str, Vec<(u32, Vec<Leg>)>> = BTreeMap::new();
    for (id, ((name, _), held)) in (0_u32..).zip(&accounts.held) {
        of_market.entry(name).or_default().push((id, legs(held, &ids)));
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
        unvalued: 0,
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
