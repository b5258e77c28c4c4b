//! Synced markets as the engine lays them on the axis.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use engine::book::accounts::Person;
use engine::map::defi::{Group as Moving, Holder, Index, Knows, Market};
use protocol::aave::account::Leg;
use protocol::aave::config::ReserveId;
use protocol::amount::Usd8;
use protocol::standing::Standing;
use protocol::{Address, U256};
use source::archive::Archive;

use super::Laid;
use super::groups::Group;
use crate::market::Priced;
use crate::text;

/// What is taken for a dollar in a market that does not count in dollars, the best known first.
const DOLLARS: [&str; 3] = ["USDC", "USDT", "DAI"];

/// The markets asked for, or all that the archive holds.
pub(super) fn names(archive: &Path, asked: &[String]) -> anyhow::Result<Vec<String>> {
    if !asked.is_empty() {
        return Ok(asked.to_vec());
    }
    if !archive.is_dir() {
        return Ok(Vec::new());
    }
    Ok(Archive::at(archive)?.markets()?.iter().map(ToString::to_string).collect())
}

/// One market on the axis: those whose debt is all in the logs, and those some of whose debt was read by call, apart.
pub(super) fn lay(archive: &Path, name: &str, block: Option<u64>, group: &Group) -> anyhow::Result<Laid> {
    let market = Priced::open(archive, Some(name), block)?;
    let members: Vec<ReserveId> = (0..)
        .map(ReserveId)
        .zip(&market.symbols)
        .zip(market.view.listed())
        .filter(|((_, symbol), listed)| !listed.is_dropped && holds(group, symbol, listed.contracts.asset))
        .map(|((id, _), _)| id)
        .collect();
    let title = market.title("The map");
    if members.is_empty() {
        bail!("{name} lists nothing that moves with {}", text::printable(&group.asset));
    }
    let Dollar { price: dollar, taken } = dollar(&market)?;
    let base_moves = group.is_ether && !market.definition.base_is_usd;
    let Some(anchor) = anchor(&market, group, dollar) else {
        bail!(
            "{name} has no price of {} itself at this block, only of what moves with it",
            text::printable(&group.asset)
        );
    };
    // What a dollar costs is known only as the price of a coin that is taken for one.
    let is_exact = market.is_whole && taken.is_none();
    let whole = if is_exact { Standing::Exact } else { Standing::Observed };
    let on_axis = Market {
        name: name.into(),
        chain: Some(market.definition.chain),
        revision: market.revision,
        reserves: market.view.reserves(),
        e_modes: market.view.e_modes().clone(),
        block: market.block.clone(),
        dollar,
        group: Moving { members: members.iter().copied().collect(), base_moves },
        anchor,
        standing: whole,
        knows: Knows::ALL,
    };
    let mut people: BTreeMap<Standing, Vec<(u32, u8, Vec<Leg>)>> = BTreeMap::from([(whole, Vec::new())]);
    let mut addresses: BTreeMap<u32, Address> = BTreeMap::new();
    let mut without_legs = 0;
    for (id, person) in market.view.accounts.iter().filter(|(_, person)| owes(person)) {
        let Ok(legs) = market.view.legs(person, market.block.now) else {
            without_legs += 1;
            continue;
        };
        let standing = whole.max(market.view.standing(person));
        people.entry(standing).or_default().push((id.0, person.e_mode, legs));
        addresses.insert(id.0, person.address);
    }
    let mut notes = vec![format!(
        "{title}: {} at {}; moves with it: {}.",
        text::printable(&group.asset),
        text::usd(anchor),
        members.iter().map(|id| market.symbols[usize::from(id.0)].as_str()).collect::<Vec<_>>().join(", "),
    )];
    // The first says in which currency the market counts, and the map counts in dollars.
    notes.extend(market.notes().into_iter().skip(usize::from(taken.is_some())));
    notes.extend(taken.map(|coin| taken_for_a_dollar(name, coin)));
    let symbols = market.symbols.clone();
    let indexes = people
        .into_iter()
        .map(|(standing, people)| {
            let holders = people.iter().map(|(id, e_mode, legs)| Holder { id: *id, e_mode: *e_mode, legs });
            Index::new(Market { standing, ..on_axis.clone() }, holders)
        })
        .collect();
    let source = market.name.to_string();
    Ok(Laid { source, indexes, addresses, symbols, notes, unvalued: without_legs, bare: 0, blind_spots: Vec::new() })
}

/// Whether a token is of the group: by its symbol, or by the address that the user gave.
fn holds(group: &Group, symbol: &str, asset: Address) -> bool {
    group.holds(symbol) || group.members.iter().any(|name| name.parse::<Address>() == Ok(asset))
}

fn owes(person: &Person) -> bool {
    person.stable.is_some() || person.holdings.iter().any(|held| held.borrowed != 0)
}

/// What a dollar costs in a market's prices.
#[derive(Debug, PartialEq)]
struct Dollar {
    price: U256,
    /// The coin whose price it is, where the market does not count in dollars.
    taken: Option<&'static str>,
}

fn dollar(market: &Priced) -> anyhow::Result<Dollar> {
    if market.definition.base_is_usd {
        return Ok(Dollar { price: U256::from(market.definition.base_unit), taken: None });
    }
    let found = coin(&market.symbols, &market.block.prices);
    found.with_context(|| {
        format!("{} does not count in dollars and has no price of USDC, USDT or DAI at this block", market.name)
    })
}

/// The best known coin that is taken for a dollar and has a price.
fn coin(symbols: &[String], prices: &[U256]) -> Option<Dollar> {
    let price = |name: &'static str| {
        let place = symbols.iter().position(|symbol| symbol == name)?;
        let price = prices.get(place).copied().filter(|price| !price.is_zero())?;
        Some(Dollar { price, taken: Some(name) })
    };
    DOLLARS.into_iter().find_map(price)
}

fn taken_for_a_dollar(market: &str, coin: &str) -> String {
    format!(
        "{market} counts in ether, and a {coin} at its own oracle's price is taken for a dollar: who can be liquidated is the \
         contract's answer, and figures in dollars are off by what {coin} is off a dollar."
    )
}

/// The asset's price in dollars, as the market's oracle has it.
fn anchor(market: &Priced, group: &Group, dollar: U256) -> Option<Usd8> {
    let price = |name: &String| {
        let address = name.parse::<Address>().ok();
        let listed = market.symbols.iter().zip(market.view.listed());
        let mut places = listed.map(|(symbol, listed)| match address {
            Some(address) => listed.contracts.asset == address,
            None => symbol.eq_ignore_ascii_case(name),
        });
        let place = places.position(|is_it| is_it)?;
        market.block.prices.get(place).copied().filter(|price| !price.is_zero())
    };
    let price = group.price.iter().find_map(price)?;
    let usd = price.checked_mul(U256::from(100_000_000_u64))?.checked_div(dollar)?;
    i128::try_from(u128::try_from(usd).ok()?).ok().filter(|usd| *usd > 0).map(Usd8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dollar_is_the_best_known_coin_that_has_a_price() {
        let symbols = ["WETH", "DAI", "USDT", "USDC"].map(str::to_owned);
        for (prices, expected) in [
            ([9, 3, 2, 1], Some((1, "USDC"))),
            ([9, 3, 2, 0], Some((2, "USDT"))),
            ([9, 3, 0, 0], Some((3, "DAI"))),
            ([9, 0, 0, 0], None),
        ] {
            let expected = expected.map(|(price, coin)| Dollar { price: U256::from(price), taken: Some(coin) });
            assert_eq!(coin(&symbols, &prices.map(U256::from)), expected, "{prices:?}");
        }
        assert_eq!(coin(&symbols, &[]), None);
        assert!(taken_for_a_dollar("ethereum-v2", "DAI").contains("a DAI at its own"));
    }
}
