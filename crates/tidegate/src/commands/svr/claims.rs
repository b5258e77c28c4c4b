//! `tidegate svr claims`: published figures worked out again.

use engine::recapture::claims::AAVE;
use engine::recapture::rates::Ratio;
use protocol::standing::Standing;

use crate::args::SvrClaims;
use crate::output;
use crate::table::{Report, Table, Unit, Value};

/// Writes what each claim implies.
pub(super) fn run(args: &SvrClaims) -> anyhow::Result<()> {
    let split = super::split(&args.split)?;
    let mut table = Table::new(
        "claims",
        &[
            ("claim", Unit::Text),
            ("stated_usd", Unit::Usd),
            ("read_as", Unit::Text),
            ("recaptured_usd", Unit::Usd),
            ("protocol_usd", Unit::Usd),
            ("network_usd", Unit::Usd),
            ("volume_usd", Unit::Usd),
            ("recaptured_of_volume", Unit::Share),
            ("at_least", Unit::Share),
            ("at_most", Unit::Share),
            ("bonuses_usd", Unit::Usd),
            ("recaptured_of_bonuses", Unit::Share),
            ("stated_parts_agree", Unit::Text),
        ],
    );
    let share = |ratio: Ratio| Value::share(ratio.part.0, ratio.whole.0);
    for claim in AAVE {
        for implied in claim.implied(split) {
            table.push(vec![
                Value::Text(claim.name.to_owned()),
                Value::Usd(claim.stated),
                Value::Text(implied.whose.words().to_owned()),
                Value::Usd(implied.recaptured),
                Value::Usd(implied.protocol),
                Value::Usd(implied.network),
                Value::Usd(claim.volume),
                share(implied.of_volume),
                share(implied.of_volume_between.0),
                share(implied.of_volume_between.1),
                claim.bonuses.map_or(Value::Missing, Value::Usd),
                implied.of_all.map_or(Value::Missing, share),
                implied
                    .parts_agree
                    .map_or(Value::Missing, |agree| Value::Text(if agree { "yes" } else { "no" }.to_owned())),
            ]);
        }
    }
    let mut notes: Vec<String> = AAVE.iter().map(|claim| format!("{}: {}.", claim.name, claim.source)).collect();
    notes.push(format!("Split assumed: {} basis points to the protocol.", split.protocol_bps()));
    notes.push(
        "At least and at most: the stated amount before it was rounded; what was liquidated is taken as stated."
            .to_owned(),
    );
    notes.push("A claim is what somebody said; nothing here says that it is true.".to_owned());
    let report = Report {
        title: "Published figures of recapture".to_owned(),
        standing: Standing::Imported,
        notes,
        tables: vec![table],
    };
    output::write(&report, &crate::commands::destination(&args.output))
}
