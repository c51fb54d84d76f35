//! Words of closed lists, for descriptions: from the lists themselves.

use geofence::{
    case::{
        Severity, Source, Stage,
        moves::{Move, Role},
    },
    violation::ViolationKind,
};
use storage::{commands::CommandState, outbox::DeliveryState};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

fn one_of(words: impl IntoIterator<Item = &'static str>) -> Schema {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    schema.enum_values(Some(words)).build().into()
}

/// Where a case stands.
pub(in crate::http) fn stage() -> Schema {
    one_of(Stage::ALL.iter().map(|stage| stage.as_str()))
}

/// What a check finds.
pub(in crate::http) fn kind() -> Schema {
    one_of(ViolationKind::ALL.iter().map(|kind| kind.as_str()))
}

/// Who brought a case.
pub(in crate::http) fn source() -> Schema {
    one_of(Source::ALL.iter().map(|source| source.as_str()))
}

/// How bad it is.
pub(in crate::http) fn severity() -> Schema {
    one_of(Severity::ALL.iter().map(|severity| severity.as_str()))
}

/// In which part somebody acts.
pub(in crate::http) fn role() -> Schema {
    one_of(Role::ALL.iter().map(|role| role.as_str()))
}

/// What may be done to a case.
pub(in crate::http) fn case_move() -> Schema {
    one_of(Move::ALL.iter().map(|name| name.as_str()))
}

/// How cases are sorted.
pub(in crate::http) fn case_order() -> Schema {
    one_of(["opened", "changed", "due"])
}

/// Where a command stands.
pub(in crate::http) fn command_state() -> Schema {
    one_of(CommandState::ALL.iter().map(|state| state.as_str()))
}

/// Where a delivery stands.
pub(in crate::http) fn delivery_state() -> Schema {
    one_of(DeliveryState::ALL.iter().map(|state| state.as_str()))
}
