//! Published figures of recapture, worked out again: what each implies under every reading of it that is open.
//!
//! A claim is what somebody said; nothing here says that it is true. Standing of all of it: imported.

use protocol::amount::Usd8;

use super::rates::Ratio;
use super::split::Split;

/// What somebody said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// What it is about.
    pub name: &'static str,
    /// Where it stands.
    pub source: &'static str,
    /// What was liquidated, in US dollars.
    pub volume: Usd8,
    /// All bonuses, where they were stated.
    pub bonuses: Option<Usd8>,
    /// The amount that was stated.
    pub stated: Usd8,
    /// What it can be; the first is the one that is told apart by nothing better where there are several.
    pub readings: &'static [Whose],
    /// The protocol's part and the network's, each where it was stated: one that somebody derived from the other is no statement.
    pub parts: (Option<Usd8>, Option<Usd8>),
    /// To how much the stated figures are rounded: half of their last digit.
    pub rounded_by: Usd8,
}

/// Whose a stated amount is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// Everything that was recaptured.
    Both,
    /// The protocol's part of it.
    Protocol,
    /// What was bid, of which the builder keeps 10 % before anything is recaptured.
    Bid,
}

impl Whose {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Both => "all that was recaptured",
            Self::Protocol => "the protocol's part",
            Self::Bid => "what was bid, before the builder's 10 %",
        }
    }
}

/// What a claim implies under one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Implied {
    /// The reading.
    pub whose: Whose,
    /// What was recaptured in all.
    pub recaptured: Usd8,
    /// The protocol's part.
    pub protocol: Usd8,
    /// The network's part.
    pub network: Usd8,
    /// Recaptured of what was liquidated.
    pub of_volume: Ratio,
    /// The same with the least and the most that the stated amount can be before it was rounded.
    pub of_volume_between: (Ratio, Ratio),
    /// Recaptured of all bonuses, where those were stated.
    pub of_all: Option<Ratio>,
    /// Whether stated parts are those of the split, as far as they were rounded; none where none were stated.
    pub parts_agree: Option<bool>,
}

const fn dollars(thousands: i128) -> Usd8 {
    Usd8(thousands * 1_000 * 100_000_000)
}

/// What was published of Aave.
pub const AAVE: [Claim; 4] = [
    Claim {
        name: "Aave, since the beginning, as the press has it",
        source: "press; $559.8M liquidated, $13.17M recaptured, $8.56M to Aave, $4.61M to Chainlink",
        volume: dollars(559_800),
        bonuses: None,
        stated: dollars(13_170),
        readings: &[Whose::Both],
        parts: (Some(dollars(8_560)), Some(dollars(4_610))),
        rounded_by: dollars(5),
    },
    Claim {
        name: "Aave, nine months to early March 2026",
        source: "governance.aave.com/t/24241: $675M liquidated, $16M recaptured",
        volume: dollars(675_000),
        bonuses: None,
        stated: dollars(16_000),
        readings: &[Whose::Both],
        parts: (None, None),
        rounded_by: dollars(500),
    },
    Claim {
        name: "Aave, the week to 2026-02-02",
        source: "governance.aave.com/t/23986: $202.47M seized, $9.34M bonuses, 804 ETH ($1.85M) to Aave",
        volume: dollars(202_470),
        bonuses: Some(dollars(9_340)),
        stated: dollars(1_850),
        readings: &[Whose::Protocol, Whose::Both],
        parts: (None, None),
        rounded_by: dollars(5),
    },
    Claim {
        name: "Aave, to September 2026, as a note in public has it",
        source: "unverified note: $877.6M liquidated, $21.3M gross, $13.9M to Aave",
        volume: dollars(877_600),
        bonuses: None,
        stated: dollars(21_300),
        readings: &[Whose::Both, Whose::Bid],
        parts: (Some(dollars(13_900)), None),
        rounded_by: dollars(50),
    },
];

impl Claim {
    /// What it implies under each reading, with a split between protocol and network. Where the protocol's part was stated, the whole is
    /// `floor(part * 10^4 / protocol's basis points)`.
    #[must_use]
    pub fn implied(&self, split: Split) -> Vec<Implied> {
        self.readings.iter().filter_map(|whose| self.under(*whose, split)).collect()
    }

    fn under(&self, whose: Whose, split: Split) -> Option<Implied> {
        let (recaptured, protocol) = Self::recaptured(self.stated, whose, split)?;
        let of_volume = |stated: Option<Usd8>| {
            let part = Self::recaptured(stated?, whose, split)?.0;
            Some(Ratio { part, whole: self.volume })
        };
        let least = of_volume(self.stated.checked_sub(self.rounded_by))?;
        let most = of_volume(self.stated.checked_add(self.rounded_by))?;
        let network = recaptured.checked_sub(protocol)?;
        let near = |a: Usd8, b: Usd8| a.0.abs_diff(b.0) <= self.rounded_by.0.unsigned_abs().saturating_mul(2);
        let agree = [(self.parts.0, protocol), (self.parts.1, network)];
        let agree = agree.into_iter().filter_map(|(stated, found)| Some(near(stated?, found)));
        Some(Implied {
            whose,
            recaptured,
            protocol,
            network,
            of_volume: Ratio { part: recaptured, whole: self.volume },
            of_volume_between: (least, most),
            of_all: self.bonuses.map(|bonuses| Ratio { part: recaptured, whole: bonuses }),
            parts_agree: agree.reduce(|all, one| all && one),
        })
    }

    /// What was recaptured in all and the protocol's part of it, if this much was stated.
    fn recaptured(stated: Usd8, whose: Whose, split: Split) -> Option<(Usd8, Usd8)> {
        let stated = u128::try_from(stated.0).ok()?;
        let (whole, protocol) = match whose {
            Whose::Bid => {
                let whole = stated.checked_mul(9)?.checked_div(10)?;
                (whole, split.of(whole).protocol)
            }
            Whose::Both => (stated, split.of(stated).protocol),
            Whose::Protocol => {
                let whole = stated.checked_mul(10_000)?.checked_div(split.protocol_bps().into())?;
                (whole, stated)
            }
        };
        let usd = |units: u128| i128::try_from(units).ok().map(Usd8);
        Some((usd(whole)?, usd(protocol)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_figures_are_what_their_denominators_make_of_them() {
        let implied: Vec<Vec<Implied>> = AAVE.iter().map(|claim| claim.implied(Split::AAVE)).collect();
        // 13.17 / 559.8, 16 / 675, 2.846 / 202.47 or 1.85 / 202.47, 21.3 / 877.6.
        let of_volume: Vec<Vec<i64>> =
            implied.iter().map(|all| all.iter().map(|one| one.of_volume.ppm().unwrap()).collect()).collect();
        assert_eq!(of_volume, [vec![23_526], vec![23_704], vec![14_057, 9_137], vec![24_271, 21_844]]);
        let week: Vec<(Whose, i64)> =
            implied[2].iter().map(|one| (one.whose, one.of_all.unwrap().ppm().unwrap())).collect();
        // 30.5 % of all bonuses if 804 ETH are Aave's 65 %, 19.8 % if they are all there was.
        assert_eq!(week, [(Whose::Protocol, 304_727), (Whose::Both, 198_073)]);
        let agree: Vec<Option<bool>> = implied.iter().map(|all| all[0].parts_agree).collect();
        assert_eq!(agree, [Some(true), None, None, Some(true)]);
        // Gross, the note's $21.3M would leave $12.5M to Aave, and not the $13.9M that it states.
        assert_eq!(implied[3][1].parts_agree, Some(false));
        // $16M is rounded to the million: 15.5 / 675 to 16.5 / 675.
        let (least, most) = implied[1][0].of_volume_between;
        assert_eq!((least.ppm(), most.ppm()), (Some(22_963), Some(24_444)));
        let press = implied[0][0];
        assert_eq!((press.protocol, press.network), (Usd8(856_050_000_000_000), Usd8(460_950_000_000_000)));
    }

    #[test]
    fn other_splits_do_not_explain_the_parts() {
        for split in [Split::COMPOUND, Split::STANDARD] {
            assert_eq!(AAVE[0].implied(split)[0].parts_agree, Some(false), "{split:?}");
        }
    }
}
