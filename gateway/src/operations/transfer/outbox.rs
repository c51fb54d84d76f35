//! What other systems must still hear of cases, and what they have heard, moves with the cases:
//! else a receiver would be told nothing, or all of it again.

use storage::store::Store;

/// Cases at once.
const CASES: u32 = 200;

pub(super) async fn move_outbox(
    from: &dyn Store,
    to: &dyn Store,
    tell: &mut impl FnMut(&str),
) -> anyhow::Result<()> {
    let (mut after, mut count) = (None, 0_u64);
    loop {
        let records = from.outbox_records(after, CASES).await?;
        let Some(last) = records.last() else { break };
        after = Some(last.case);
        count += records
            .iter()
            .map(|record| record.deliveries.len() as u64)
            .sum::<u64>();
        to.import_outbox(&records).await?;
    }
    if count > 0 {
        tell(&format!("{count} deliveries"));
    }
    Ok(())
}

/// How the two differ.
pub(super) async fn difference(from: &dyn Store, to: &dyn Store) -> anyhow::Result<Option<String>> {
    let (here, there) = (from.tally_outbox().await?, to.tally_outbox().await?);
    Ok((here != there).then(|| format!("{here:?} here, {there:?} there")))
}
