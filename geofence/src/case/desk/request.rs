//! What is asked for, by whom, and why it is not done.

use serde::{Deserialize, Serialize};

use crate::{
    case::{
        Severity, Stage,
        moves::{Move, Need, Role},
        task::Answered,
    },
    identity::{CaseId, ViolationId},
    units::Timestamp,
};

/// Somebody who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Who.
    pub name: String,
    /// In which part.
    pub role: Role,
    /// Code prefix of his jurisdiction; empty is the city.
    #[serde(default)]
    pub scope: String,
    /// Of which department, where that is known.
    #[serde(default)]
    pub department: Option<String>,
}

impl Actor {
    /// The gateway itself, under a name.
    #[must_use]
    pub fn system(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            role: Role::System,
            scope: String::new(),
            department: None,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveRequest {
    /// Which move.
    pub name: Move,
    /// Who asks.
    pub by: Actor,
    /// The version of the case that he saw; `None` is whatever it is now.
    pub version: Option<u32>,
    /// Why, or what is to be known.
    #[serde(default)]
    pub remark: String,
    /// Tells a repetition of the same request from another one: what has been done under a key is
    /// not done again.
    #[serde(default)]
    pub key: Option<String>,
    /// To which department.
    #[serde(default)]
    pub department: Option<String>,
    /// To which jurisdiction.
    #[serde(default)]
    pub jurisdiction: Option<String>,
    /// Another category.
    #[serde(default)]
    pub category: Option<String>,
    /// Another severity.
    #[serde(default)]
    pub severity: Option<Severity>,
    /// Minutes more.
    #[serde(default)]
    pub minutes: Option<u32>,
    /// Put off until then.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Into which case.
    #[serde(default)]
    pub into: Option<CaseId>,
    /// Which violations.
    #[serde(default)]
    pub violations: Vec<ViolationId>,
    /// It answers a task of the case.
    #[serde(default)]
    pub task: Option<Answered>,
}

impl MoveRequest {
    /// A move that says no more than its name, of whatever version.
    #[must_use]
    pub fn new(name: Move, by: Actor, remark: &str) -> Self {
        Self {
            name,
            by,
            version: None,
            remark: remark.to_owned(),
            key: None,
            department: None,
            jurisdiction: None,
            category: None,
            severity: None,
            minutes: None,
            until: None,
            into: None,
            violations: Vec::new(),
            task: None,
        }
    }
}

/// Why a move is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The table has no such move from there.
    #[error("{} is not possible from {}", .0.as_str(), .1.as_str())]
    NotFrom(Move, Stage),
    /// The case is put off, or is not.
    #[error("{} is not possible while the case {}", .0.as_str(), if *.1 { "is put off" } else { "is not put off" })]
    Deferral(Move, bool),
    /// Somebody else may.
    #[error("{} is not for {}", .0.as_str(), .1.as_str())]
    Role(Move, Role),
    /// Another jurisdiction handles it, or another department.
    #[error("the case is handled by {0}")]
    Scope(String),
    /// It has been moved since.
    #[error("the case has been moved since version {seen}: it is at version {version}")]
    Stale {
        /// The version that was seen.
        seen: u32,
        /// The version that it has.
        version: u32,
    },
    /// Something is missing, or is not what it should be.
    #[error("{name}: {1}", name = .0.as_str())]
    Needs(Need, &'static str),
    /// A text is not one that the table of categories has.
    #[error("category: {0:?} is not in the table")]
    Category(String),
    /// The task was answered, or the case went on without it.
    #[error("task {0} of the case is over")]
    Task(u32),
}
