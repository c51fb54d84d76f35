//! What may be asked: bodies as people send them, checked before anything is done.

use geofence::{
    case::{
        Case, Place, Severity, Source,
        desk::{Actor, MoveRequest},
        moves::{Move, RULES, Role},
        policy::is_jurisdiction,
    },
    identity::{CaseId, ViolationId},
    units::{Latitude, Longitude},
};
use serde::Deserialize;
use storage::store::{MoveOrder, Opening};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::{
    Problem,
    api::{moment, terminal},
    openapi::words,
};
use crate::{Gateway, clock, config::Cases};

/// Names and keys: bytes at most.
const NAME_BYTES_MAX: usize = 200;
/// Whatever a key is sent under, the id that follows from it is a case's.
const KEYS: Uuid = Uuid::from_bytes(*b"gridtrace/keys/1");

/// Who acts.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct By {
    actor: String,
    #[schema(schema_with = words::role)]
    role: String,
    /// The jurisdiction that he acts for: the first digits of its code; nothing is the city.
    #[serde(default)]
    scope: String,
    /// The department that he acts for.
    actor_department: Option<String>,
}

/// `POST /cases`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct CaseBody {
    #[serde(flatten)]
    by: By,
    #[schema(schema_with = words::source, required = false)]
    source: Option<String>,
    category: Option<String>,
    #[schema(schema_with = words::severity, required = false)]
    severity: Option<String>,
    description: String,
    /// Now where it is not given.
    occurred_at: Option<String>,
    lat: Option<f64>,
    lon: Option<f64>,
    unit_grid: Option<String>,
    terminal: Option<String>,
    department: Option<String>,
    #[serde(default)]
    /// Ids of media.
    media: Vec<String>,
    #[serde(default)]
    remark: String,
    /// The same key again is the same case.
    key: Option<String>,
}

/// `POST /cases/{id}/moves`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct MoveBody {
    #[serde(flatten)]
    by: By,
    #[serde(rename = "move")]
    #[schema(schema_with = words::case_move)]
    name: String,
    /// Of the case as it was seen: another one is a conflict.
    version: u32,
    #[serde(default)]
    remark: String,
    /// The same key again is the same move, made once.
    key: Option<String>,
    department: Option<String>,
    jurisdiction: Option<String>,
    category: Option<String>,
    #[schema(schema_with = words::severity, required = false)]
    severity: Option<String>,
    minutes: Option<u32>,
    #[schema(format = DateTime)]
    until: Option<String>,
    #[schema(value_type = Option<String>)]
    into: Option<CaseId>,
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    violations: Vec<ViolationId>,
}

impl By {
    fn actor(self) -> Result<Actor, Problem> {
        let role = Role::from_word(&self.role).filter(|role| *role != Role::System);
        let role = role.ok_or_else(|| {
            Problem::bad_request("role: one of inspector, operator, dispatcher, department, leader")
        })?;
        name("actor", &self.actor)?;
        if self.actor.trim().is_empty() {
            return Err(Problem::bad_request("actor: it needs a name"));
        }
        place("scope", &self.scope)?;
        Ok(Actor {
            name: self.actor,
            role,
            scope: self.scope,
            department: self.actor_department,
        })
    }
}

fn name(key: &str, text: &str) -> Result<(), Problem> {
    if text.len() > NAME_BYTES_MAX || text.contains('\0') {
        let detail = format!("{key}: at most {NAME_BYTES_MAX} bytes, without U+0000");
        return Err(Problem::bad_request(detail));
    }
    Ok(())
}

fn place(key: &str, text: &str) -> Result<(), Problem> {
    if is_jurisdiction(text) {
        Ok(())
    } else {
        Err(Problem::bad_request(format!(
            "{key}: the first digits of a unit grid's code, or nothing for the city"
        )))
    }
}

fn text(key: &str, text: &str, rules: &Cases) -> Result<(), Problem> {
    if text.len() as u64 > rules.text_bytes_max || text.contains('\0') {
        let max = rules.text_bytes_max;
        let detail = format!("{key}: at most {max} bytes, without U+0000");
        return Err(Problem::bad_request(detail));
    }
    Ok(())
}

fn severity(word: Option<&str>) -> Result<Option<Severity>, Problem> {
    let read = |word| {
        Severity::from_word(word)
            .ok_or_else(|| Problem::bad_request("severity: one of low, normal, high, urgent"))
    };
    word.map(read).transpose()
}

impl CaseBody {
    /// A case by hand, its place looked up in the catalog.
    pub(super) fn opening(self, gateway: &Gateway) -> Result<Opening, Problem> {
        let rules = &gateway.config.cases;
        let by = self.by.actor()?;
        let may_open = RULES.iter().find(|rule| rule.name == Move::Open);
        if !may_open.is_some_and(|rule| rule.by.contains(&by.role)) {
            let detail = format!("open is not for {}", by.role.as_str());
            return Err(Problem::new(axum::http::StatusCode::CONFLICT, detail));
        }
        text("description", &self.description, rules)?;
        text("remark", &self.remark, rules)?;
        if self.description.trim().is_empty() {
            return Err(Problem::bad_request("description: it needs words"));
        }
        let names = [&self.key, &self.category, &self.unit_grid, &self.department];
        for (word, one) in ["key", "category", "unit_grid", "department"]
            .iter()
            .zip(names)
        {
            one.as_deref().map_or(Ok(()), |one| name(word, one))?;
        }
        if self.media.len() > rules.media_max as usize {
            let detail = format!("media: at most {}", rules.media_max);
            return Err(Problem::bad_request(detail));
        }
        for one in &self.media {
            name("media", one)?;
        }
        let source = match self.source.as_deref() {
            None => Source::Manual,
            Some(word) => Source::from_word(word)
                .filter(|source| *source != Source::Telemetry)
                .ok_or_else(|| Problem::bad_request("source: one of inspector, citizen, manual"))?,
        };
        let now = clock::now();
        let id = match &self.key {
            Some(key) => Uuid::new_v5(&KEYS, key.as_bytes()),
            None => Uuid::new_v4(),
        };
        let mut case = Case::blank(CaseId(id), source, now);
        case.severity = severity(self.severity.as_deref())?.unwrap_or_default();
        case.occurred_at = moment("occurred_at", self.occurred_at.as_deref())?.unwrap_or(now);
        case.terminal = self.terminal.as_deref().map(terminal).transpose()?;
        case.description = self.description;
        case.department = self.department;
        case.media = self.media;
        case.unit_grid = self.unit_grid;
        if let (Some(lat), Some(lon)) = (self.lat, self.lon) {
            let latitude = Latitude::from_degrees(lat);
            let longitude = Longitude::from_degrees(lon);
            let (Some(latitude), Some(longitude)) = (latitude, longitude) else {
                return Err(Problem::bad_request("lat, lon: degrees, WGS-84"));
            };
            case.place = Some(Place {
                latitude,
                longitude,
            });
            if case.unit_grid.is_none() {
                case.unit_grid = gateway.catalog.with(|catalog| {
                    let grid = catalog.grid_at(latitude, longitude);
                    grid.map(|grid| grid.code.to_string())
                });
            }
        }
        if let Some(grid) = &case.unit_grid
            && !grid.starts_with(&by.scope)
        {
            return Err(Problem::new(
                axum::http::StatusCode::FORBIDDEN,
                "the place lies outside of the scope",
            ));
        }
        if case.unit_grid.is_none() {
            case.handler.clone_from(&by.scope);
        }
        let desk = gateway.cases.desk(&gateway.catalog.in_force());
        if let Some(code) = self.category.filter(|code| !code.is_empty()) {
            if !desk.policy.categories().contains_key(&code) {
                let detail = format!("category: {code:?} is not in the table");
                return Err(Problem::new(
                    axum::http::StatusCode::UNPROCESSABLE_ENTITY,
                    detail,
                ));
            }
            case.category = code;
        }
        let remark = if self.remark.trim().is_empty() {
            "reported".to_owned()
        } else {
            self.remark
        };
        Ok(Opening {
            case,
            by,
            remark,
            desk,
        })
    }
}

impl MoveBody {
    /// A move, with everything in it readable.
    pub(super) fn order(self, case: CaseId, gateway: &Gateway) -> Result<MoveOrder, Problem> {
        let by = self.by.actor()?;
        let known = Move::from_word(&self.name).ok_or_else(|| {
            Problem::bad_request("move: no such move; /api/v1/case-moves has all")
        })?;
        text("remark", &self.remark, &gateway.config.cases)?;
        let names = [&self.key, &self.department, &self.category];
        for (word, one) in ["key", "department", "category"].iter().zip(names) {
            one.as_deref().map_or(Ok(()), |one| name(word, one))?;
        }
        if let Some(jurisdiction) = &self.jurisdiction {
            place("jurisdiction", jurisdiction)?;
        }
        Ok(MoveOrder {
            case,
            request: MoveRequest {
                version: Some(self.version),
                key: self.key,
                department: self.department,
                jurisdiction: self.jurisdiction,
                category: self.category,
                severity: severity(self.severity.as_deref())?,
                minutes: self.minutes,
                until: moment("until", self.until.as_deref())?,
                into: self.into,
                violations: self.violations,
                ..MoveRequest::new(known, by, &self.remark)
            },
            at: clock::now(),
            desk: gateway.cases.desk(&gateway.catalog.in_force()),
        })
    }
}
