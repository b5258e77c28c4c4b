//! placeholder
pub(crate) fn run(_: &crate::args::Demo) -> anyhow::Result<()> {
    Ok(())
}
