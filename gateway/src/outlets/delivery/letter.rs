//! What a receiver is told.

use bytes::Bytes;
use geofence::case::Stage;
use serde::Serialize;
use storage::{
    outbox::{Delivery, Event},
    store::CaseChange,
};
use uuid::Uuid;

use crate::{catalog::Catalog, clock::rfc3339, http::view::CaseView};

/// A request, before it is signed.
#[derive(Clone, Debug)]
pub struct Letter<'a> {
    /// The idempotency key.
    pub id: Uuid,
    /// JSON.
    pub body: Bytes,
    /// What it tells of.
    pub event: &'a Event,
}

/// The body. `case` is the case after the event, so that the newest letter alone says how it is;
/// `sequence` counts up within the case and tells which one is newer.
#[derive(Serialize)]
struct Body<'a> {
    id: Uuid,
    event: &'static str,
    sequence: u64,
    at: String,
    case: CaseView,
    changes: Vec<ChangeView<'a>>,
}

/// A line of the history that the event added.
#[derive(Serialize)]
struct ChangeView<'a> {
    at: String,
    version: u32,
    #[serde(rename = "move")]
    name: &'static str,
    from: Option<&'static str>,
    to: &'static str,
    actor: &'a str,
    role: &'static str,
    remark: &'a str,
    detail: &'a str,
}

impl<'a> From<&'a CaseChange> for ChangeView<'a> {
    fn from(change: &'a CaseChange) -> Self {
        Self {
            at: rfc3339(change.at),
            version: change.version,
            name: change.name.as_str(),
            from: change.from.map(Stage::as_str),
            to: change.to.as_str(),
            actor: &change.actor,
            role: change.role.as_str(),
            remark: &change.remark,
            detail: &change.detail,
        }
    }
}

impl<'a> Letter<'a> {
    /// What a delivery says. The case is as it was at the event; who drives which vehicle is as the
    /// catalog says now.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn new(
        delivery: &Delivery,
        event: &'a Event,
        catalog: &Catalog,
    ) -> Result<Self, serde_json::Error> {
        let body = Body {
            id: delivery.id,
            event: event.kind.as_str(),
            sequence: event.sequence,
            at: rfc3339(event.at),
            case: CaseView::new(&event.content.case, catalog),
            changes: event.content.changes.iter().map(ChangeView::from).collect(),
        };
        Ok(Self {
            id: delivery.id,
            body: serde_json::to_vec(&body)?.into(),
            event,
        })
    }
}
