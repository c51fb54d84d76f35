//! `/api/v1/explain`: why a rule has found something about a vehicle at a moment, or why not.
//!
//! The stored positions before the moment are judged once more, by the catalogs that were in force
//! then, or by a version that is named; the evaluation that opens cases is not touched.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use geofence::{
    catalog::Catalog as Snapshot,
    identity::{CaseId, TerminalId},
    position::Position,
    track::explain::{self, Check, Era, Explanation, Numbers, Question, SeenFix},
    units::Timestamp,
};
use serde::{Deserialize, Serialize};
use storage::store::PositionQuery;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Problem,
    api::{Shared, moment, terminal},
    tracks::{enter, in_background},
    view::{RuleView, Subject, ViolationView},
};
use crate::{
    Gateway,
    catalog::{Draft, InForce},
    clock::{self, rfc3339},
};

/// Rows that are read from the store at a time.
const PAGE: u32 = 10_000;
/// Versions that are looked at for those that were in force in the period, and so many of them are
/// used: the newest. Before them the oldest of these judges.
const VERSIONS_LISTED: u32 = 100;
const ERAS_MAX: usize = 4;

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(answer))
        .routes(routes!(of_case))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Parameters {
    #[param(required = true)]
    terminal: Option<String>,
    /// Its id in the catalog.
    #[param(required = true)]
    rule: Option<String>,
    /// Now where it is not given.
    at: Option<String>,
    /// The version that judges; those of then where it is not given.
    version: Option<u64>,
}

/// A version of the catalog, and since when it judges.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) number: u64,
    from: Timestamp,
    pub(super) snapshot: Arc<Snapshot>,
}

/// Why a rule has found something about a vehicle at a moment, or why not.
#[utoipa::path(
    get,
    path = "/explain",
    tag = "explain",
    params(Parameters),
    responses(
        (status = 200, body = ExplanationView),
        (status = 404, description = "No such rule, or no such version."),
        (status = 503, description = "The store is away, or as many as `tracks.readers_max` are being read."),
    ),
)]
async fn answer(
    State(gateway): Shared,
    Query(parameters): Query<Parameters>,
) -> Result<Json<ExplanationView>, Problem> {
    let missing = |name: &str| Problem::bad_request(format!("{name}: it must be given"));
    let terminal = terminal(
        parameters
            .terminal
            .as_deref()
            .ok_or_else(|| missing("terminal"))?,
    )?;
    let rule = parameters.rule.ok_or_else(|| missing("rule"))?;
    let now = clock::now();
    let at = moment("at", parameters.at.as_deref())?.unwrap_or(now);
    if at > now {
        return Err(Problem::bad_request("at: it lies in the future"));
    }
    explained(&gateway, terminal, rule, at, parameters.version).await
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CaseParameters {
    /// The moment at which the check was sure where it is not given.
    at: Option<String>,
    /// The version that judges; those of then where it is not given.
    version: Option<u64>,
}

/// The same of the vehicle and rule of a case: when it was sure, or at another moment.
#[utoipa::path(
    get,
    path = "/cases/{id}/explain",
    tag = "explain",
    params(("id" = String, Path), CaseParameters),
    responses(
        (status = 200, body = ExplanationView),
        (status = 404, description = "No such case, or none that a check found."),
        (status = 503, description = "The store is away, or as many as `tracks.readers_max` are being read."),
    ),
)]
async fn of_case(
    State(gateway): Shared,
    Path(id): Path<CaseId>,
    Query(parameters): Query<CaseParameters>,
) -> Result<Json<ExplanationView>, Problem> {
    let case = gateway.store.case(id).await?;
    let case = case.ok_or_else(|| Problem::not_found("no such case"))?;
    let violation = case.violation().cloned();
    let violation = violation
        .ok_or_else(|| Problem::not_found("no check has found what this case is about"))?;
    let at = moment("at", parameters.at.as_deref())?.unwrap_or(violation.confirmed_at);
    let version = parameters.version;
    explained(&gateway, violation.terminal, violation.rule.id, at, version).await
}

pub(super) async fn explained(
    gateway: &Arc<Gateway>,
    terminal: TerminalId,
    rule: String,
    at: Timestamp,
    named: Option<u64>,
) -> Result<Json<ExplanationView>, Problem> {
    let _reader = enter(gateway)?;
    let lookback = gateway.config.explain.lookback;
    let shared = Arc::clone(gateway);
    let work = move || versions(&shared, named, at.before(lookback), at);
    let versions = in_background(work).await??;
    let question = Question {
        terminal,
        rule: &rule,
        at,
    };
    let judge = versions.last().map(|version| &*version.snapshot);
    let needed_from = judge
        .and_then(|catalog| explain::needed_from(catalog, &question))
        .ok_or_else(|| Problem::not_found("rule: the catalog has none of this id"))?;
    let from = needed_from.min(at.before(lookback));
    let positions_max = gateway.config.explain.positions_max as usize;
    let (mut positions, is_cut) = positions(gateway, terminal, (from, at), positions_max).await?;
    if positions.is_empty() {
        // It was heard once, before all that was read: that is not never.
        let newest = gateway.live.newest(terminal);
        positions.extend(newest.filter(|position| position.fixed_at <= at));
    }
    let number = versions.last().map_or(0, |version| version.number);
    let work = move || {
        let eras = versions.iter().map(|version| Era {
            from: version.from,
            catalog: &version.snapshot,
        });
        let eras: Vec<Era<'_>> = eras.collect();
        let question = Question {
            terminal,
            rule: &rule,
            at,
        };
        explain::explain(&eras, &positions, &question)
    };
    let explanation = in_background(work).await?;
    let explanation =
        explanation.ok_or_else(|| Problem::not_found("rule: the catalog has none of this id"))?;
    let seen = gateway.directory.terminal(terminal).last_seen;
    Ok(Json(ExplanationView {
        subject: Subject::of(terminal, &gateway.catalog),
        last_message_at: seen.map(|seen| rfc3339(seen.at)),
        at: rfc3339(at),
        from: rfc3339(from),
        is_cut,
        version: number,
        explained: ExplainedView::from(&explanation),
    }))
}

/// The versions that judge, the oldest first: the one that is named, as if it had always been in
/// force; or those that were in force from then until then.
pub(super) fn versions(
    gateway: &Gateway,
    named: Option<u64>,
    from: Timestamp,
    at: Timestamp,
) -> Result<Vec<Version>, Problem> {
    let always = |number, snapshot| Version {
        number,
        from: Timestamp(i64::MIN),
        snapshot,
    };
    let catalog = &gateway.catalog;
    let in_force = catalog.in_force();
    if let Some(number) = named.filter(|number| *number != in_force.number) {
        let draft = Draft {
            version: named,
            ..Draft::default()
        };
        let (_, snapshot) = draft.load(catalog)?;
        return Ok(vec![always(number, Arc::new(snapshot))]);
    }
    let current = || vec![always(in_force.number, Arc::clone(&in_force.snapshot))];
    let (None, Some(kept)) = (named, catalog.versions()) else {
        return Ok(current());
    };
    let listed = kept.list(None, VERSIONS_LISTED)?;
    let taken = listed
        .iter()
        .filter_map(|info| Some((info.in_force_at?, info.number)));
    let mut taken: Vec<(Timestamp, u64)> = taken.collect();
    taken.sort_unstable();
    // The first one also judges what was before it.
    let until_then = taken.partition_point(|(since, _)| *since <= at);
    taken.truncate(until_then.max(1));
    // Of those from before the period only the last one judges in it.
    let before = taken.iter().filter(|(since, _)| *since <= from).count();
    taken.drain(..before.saturating_sub(1));
    taken.drain(..taken.len().saturating_sub(ERAS_MAX));
    if taken.is_empty() {
        return Ok(current());
    }
    let load = |(from, number)| {
        let found: Arc<InForce> = catalog.of(number);
        Version {
            number: found.number,
            from,
            snapshot: Arc::clone(&found.snapshot),
        }
    };
    Ok(taken.into_iter().map(load).collect())
}

/// The positions of a period, in order; of too many the newest. Says whether some were left out.
pub(super) async fn positions(
    gateway: &Gateway,
    terminal: TerminalId,
    (from, at): (Timestamp, Timestamp),
    positions_max: usize,
) -> Result<(Vec<Position>, bool), Problem> {
    let mut query = PositionQuery {
        terminal: Some(terminal),
        from,
        to: at.plus_millis(1),
        within: None,
        after: None,
        limit: PAGE,
    };
    let (mut positions, mut is_cut) = (Vec::new(), false);
    loop {
        let rows = gateway.store.positions(&query).await?;
        let is_last = rows.len() < PAGE as usize;
        if let Some(last) = rows.last().map(|row| &row.position) {
            query.after = Some((last.fixed_at, last.terminal, last.digest));
        }
        positions.extend(rows.into_iter().map(|row| row.position));
        let over = positions.len().saturating_sub(positions_max);
        is_cut |= over > 0;
        positions.drain(..over);
        if is_last {
            return Ok((positions, is_cut));
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExplanationView {
    #[serde(flatten)]
    subject: Subject,
    at: String,
    /// Positions were looked at from this moment on.
    from: String,
    /// There were more of them than `explain.positions_max`: the oldest were left out.
    #[serde(rename = "cut")]
    is_cut: bool,
    /// The version of the catalog at the moment.
    version: u64,
    /// The newest valid message of any kind, as of now and since the gateway started. Checks hear
    /// location reports alone (`heard`): a terminal that sends heartbeats and no reports is connected,
    /// and silent all the same.
    last_message_at: Option<String>,
    #[serde(flatten)]
    explained: ExplainedView,
}

#[derive(Debug, Serialize, ToSchema)]
struct ExplainedView {
    /// In English.
    sentence: String,
    /// The same in Chinese.
    sentence_zh: String,
    rule: RuleView,
    form: &'static str,
    in_force_since: Option<String>,
    window: Option<WindowView>,
    checks: Vec<CheckView>,
    violations: Vec<ViolationView>,
    heard: HeardView,
    fixes: Vec<SeenView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct WindowView {
    from: String,
    to: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct CheckView {
    kind: &'static str,
    judged: bool,
    why_not: Option<&'static str>,
    stage: &'static str,
    side: Option<&'static str>,
    since: Option<String>,
    observed_s: Option<f64>,
    needed_s: Option<f64>,
    #[schema(value_type = std::collections::BTreeMap<String, f64>)]
    measured: Numbers,
    #[schema(value_type = std::collections::BTreeMap<String, f64>)]
    thresholds: Numbers,
    violation: Option<ViolationView>,
    /// In English.
    sentence: String,
    /// The same in Chinese.
    sentence_zh: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct HeardView {
    fixes: usize,
    placeless: usize,
    dropped: usize,
    first_at: Option<String>,
    last_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SeenView {
    fixed_at: String,
    lat: f64,
    lon: f64,
    speed_kmh: f64,
    median_kmh: Option<f64>,
    accuracy_m: f64,
    distance_m: Option<f64>,
    behind_gap: bool,
    fate: &'static str,
    log_offset: u64,
}

impl From<&Explanation> for ExplainedView {
    fn from(explanation: &Explanation) -> Self {
        let (rule, heard) = (&explanation.rule, &explanation.heard);
        Self {
            sentence: explanation.sentence.clone(),
            sentence_zh: explanation.sentence_zh.clone(),
            rule: RuleView {
                id: rule.id.clone(),
                version: rule.version,
                name: rule.name.clone(),
            },
            form: explanation.form,
            in_force_since: explanation.in_force_since.map(rfc3339),
            window: explanation.window.map(|(from, to)| WindowView {
                from: rfc3339(from),
                to: rfc3339(to),
            }),
            checks: explanation.checks.iter().map(CheckView::from).collect(),
            violations: explanation
                .violations
                .iter()
                .map(ViolationView::from)
                .collect(),
            heard: HeardView {
                fixes: heard.fixes,
                placeless: heard.placeless,
                dropped: heard.dropped,
                first_at: heard.first_at.map(rfc3339),
                last_at: heard.last_at.map(rfc3339),
            },
            fixes: explanation.fixes.iter().map(SeenView::from).collect(),
        }
    }
}

impl From<&Check> for CheckView {
    fn from(check: &Check) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "clocks of days at most")]
        let seconds = |ms: i64| ms as f64 / 1e3;
        Self {
            kind: check.kind.as_str(),
            judged: check.why_not.is_none(),
            why_not: check.why_not.map(explain::WhyNot::reason),
            stage: check.stage.as_str(),
            side: check.side,
            since: check.since.map(rfc3339),
            observed_s: check.observed_ms.map(seconds),
            needed_s: check.needed_ms.map(seconds),
            measured: check.measured.clone(),
            thresholds: check.thresholds.clone(),
            violation: check.violation.as_ref().map(ViolationView::from),
            sentence: check.sentence.clone(),
            sentence_zh: check.sentence_zh.clone(),
        }
    }
}

impl From<&SeenFix> for SeenView {
    fn from(fix: &SeenFix) -> Self {
        Self {
            fixed_at: rfc3339(fix.fixed_at),
            lat: fix.latitude.degrees(),
            lon: fix.longitude.degrees(),
            speed_kmh: f64::from(fix.speed_dkmh) / 10.0,
            median_kmh: fix.median_kmh,
            accuracy_m: fix.accuracy_m,
            distance_m: fix.distance_m,
            behind_gap: fix.is_behind_gap,
            fate: fix.fate.as_str(),
            log_offset: fix.log_offset,
        }
    }
}
