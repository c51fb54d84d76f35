//! What decides over cases: the city's policy with the work calendar of the catalog in force, and
//! the task that tells what clocks have to say.

use std::sync::Arc;

use geofence::case::{
    Stage,
    clock::ClockKind,
    moves::Move,
    policy::{Desk, Policy, PolicyText},
    task::TaskKind,
};
use parking_lot::Mutex;
use storage::store::{CaseWritten, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{
    Gateway,
    catalog::InForce,
    clock,
    config::Cases,
    inspectors,
    metrics::Metrics,
    outlets::every,
    rule_file::{self, RuleFileError},
};

/// The policy of whoever says nothing.
const DEFAULT_POLICY: &str = include_str!("../case-policy.toml");

/// The case desk.
#[derive(Debug)]
pub struct CaseDesk {
    policy: Policy,
    /// With the calendar of the version of the catalog that has this number.
    newest: Mutex<Option<(u64, Arc<Desk>)>>,
}

impl CaseDesk {
    /// Reads the policy.
    ///
    /// # Errors
    /// When the file cannot be read; and every mistake in it.
    pub fn load(config: &Cases) -> Result<Self, RuleFileError> {
        let mut texts = vec![parse(DEFAULT_POLICY, "the default policy")?];
        let mut place = "the default policy".to_owned();
        if let Some(path) = &config.policy {
            let text = rule_file::read(path)?;
            place = path.display().to_string();
            texts.push(parse(&text, &place)?);
        }
        let policy =
            Policy::read(&texts).map_err(|mistakes| RuleFileError::at(&place, mistakes))?;
        Ok(Self {
            policy,
            newest: Mutex::default(),
        })
    }

    /// What decides by a version of the catalog.
    #[must_use]
    pub fn desk(&self, catalog: &InForce) -> Arc<Desk> {
        let mut newest = self.newest.lock();
        if let Some((number, desk)) = &*newest
            && *number == catalog.number
        {
            return Arc::clone(desk);
        }
        let calendar = catalog.snapshot.duties().calendar().clone();
        let desk = Arc::new(Desk {
            catalog: Some(Arc::clone(&catalog.snapshot)),
            ..Desk::new(self.policy.clone(), calendar)
        });
        *newest = Some((catalog.number, Arc::clone(&desk)));
        desk
    }
}

fn parse(text: &str, place: &str) -> Result<PolicyText, RuleFileError> {
    toml::from_str(text).map_err(|error| RuleFileError::at(&place, [error.message()]))
}

/// Tells what clocks have to say every `cases.clock_interval`, until told to stop. What is said is
/// written with the case, so that a crash or another node neither loses nor repeats it.
pub async fn run(gateway: Arc<Gateway>, stop: CancellationToken) {
    every(gateway.config.cases.clock_interval, &stop, || {
        tick(Arc::clone(&gateway))
    })
    .await;
}

async fn tick(gateway: Arc<Gateway>) {
    let limit = gateway.config.cases.clock_batch;
    let desk = gateway.cases.desk(&gateway.catalog.in_force());
    loop {
        let now = clock::now();
        let written = match gateway.store.tick_cases(now, &desk, limit).await {
            Ok(written) => written,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                gateway.metrics.store_failed(&error);
                tracing::warn!(%error, cause, "the clocks of cases cannot be told; later again");
                return;
            }
        };
        let count = written.len();
        tell(&gateway.metrics, &written);
        let cases: Vec<_> = written.into_iter().map(|written| written.case).collect();
        gateway.live.publish_cases(&cases);
        if count < limit as usize {
            break;
        }
    }
    if let Err(error) = count_overdue(&gateway).await {
        gateway.metrics.store_failed(&error);
        tracing::debug!(%error, "overdue cases cannot be counted");
    }
}

/// Of each stage, none told as none.
async fn count_overdue(gateway: &Gateway) -> Result<(), StoreError> {
    let now = clock::now();
    let gauge = |name, label, word: &str, count: Option<&u64>| {
        let count = count.copied().unwrap_or_default();
        let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        gateway.metrics.gauge(name, &[(label, word)], count);
    };
    let stages = gateway.store.cases_overdue(now).await?;
    for stage in Stage::ALL.iter().filter(|stage| !stage.is_final()) {
        gauge("cases_overdue", "stage", stage.as_str(), stages.get(stage));
    }
    let tasks = inspectors::overdue(&*gateway.store, now).await?;
    for kind in TaskKind::ALL {
        gauge("tasks_overdue", "kind", kind.as_str(), tasks.get(kind));
    }
    Ok(())
}

/// Counts what was done.
pub fn tell(metrics: &Metrics, written: &[CaseWritten]) {
    for line in written.iter().flat_map(|written| &written.lines) {
        let name = line.name.as_str();
        if matches!(line.name, Move::Warn | Move::Overdue) {
            let clock = line.clock().map_or("unknown", ClockKind::as_str);
            let stage = line.to.as_str();
            let labels = [("notice", name), ("clock", clock), ("stage", stage)];
            metrics.count_with("case_clock_notices_total", &labels, 1);
        } else {
            metrics.count("case_moves_total", "move", name, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use geofence::violation::ViolationKind;

    use super::*;

    fn load(text: Option<&str>) -> Result<CaseDesk, RuleFileError> {
        let folder = tempfile::tempdir().unwrap();
        let policy = text.map(|text| {
            let file = folder.path().join("policy.toml");
            std::fs::write(&file, text).unwrap();
            file
        });
        CaseDesk::load(&Cases {
            policy,
            clock_interval: std::time::Duration::from_secs(1),
            clock_batch: 1,
            text_bytes_max: 1,
            media_max: 1,
        })
    }

    #[test]
    fn the_default_policy_has_a_category_for_every_kind() {
        let policy = load(None).unwrap().policy;
        for kind in ViolationKind::ALL {
            let code = &policy.of(Some(kind)).category;
            assert!(policy.categories().contains_key(code), "{kind:?}: {code}");
        }
        assert_eq!(policy.of(Some(ViolationKind::Coverage)).category, "0104");
    }

    #[test]
    fn a_policy_of_ones_own_says_only_what_differs() {
        let text = "[kinds.speeding]\nautomatic_to = \"filed\"\n[[departments]]\nkind = \"*\"\n\
                    department = \"d\"\n";
        let policy = load(Some(text)).unwrap().policy;
        let speeding = policy.of(Some(ViolationKind::Speeding));
        assert_eq!(speeding.automatic_to.as_str(), "filed");
        assert_eq!(speeding.category, "0182");
        assert_eq!(policy.department(None, "1401"), Some("d"));
    }

    #[test]
    fn mistakes_of_a_policy_name_the_file() {
        for wrong in [
            "[kinds.flying]\nopens = true\n",
            "[kinds.speeding]\nlimit = 3\n",
            "x =",
        ] {
            let error = load(Some(wrong)).unwrap_err().to_string();
            assert!(error.contains("policy.toml: "), "{error}");
        }
    }
}
