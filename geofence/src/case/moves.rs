//! The one table of what may be done with a case: from which stages, to which, by whom, and what
//! it needs. Nothing changes a case that is not in it, telemetry and clocks included.
//! `gateway/docs/case-moves.md` is written from it.

use serde::{Deserialize, Serialize};

use super::{Stage, clock::ClockKind, words};

/// In which part somebody acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// 监督员: reports, verifies, checks.
    Inspector,
    /// 受理员: accepts and files.
    Operator,
    /// 派遣员: finds the department.
    Dispatcher,
    /// 专业部门: handles.
    Department,
    /// 值班长, 领导: what others may not.
    Leader,
    /// The gateway itself: checks, policy, clocks. Nobody can act in this part from outside.
    System,
}

words!(Role, "role", [
    Inspector => "inspector",
    Operator => "operator",
    Dispatcher => "dispatcher",
    Department => "department",
    Leader => "leader",
    System => "system",
]);

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the table says what each is")]
pub enum Move {
    Open,
    Accept,
    File,
    Decline,
    Dispatch,
    Return,
    Handle,
    VerifyPass,
    VerifyFail,
    Close,
    ForceClose,
    Withdraw,
    Reopen,
    HandOver,
    Extend,
    Defer,
    Resume,
    Merge,
    Absorb,
    Split,
    Note,
    Amend,
    FindAgain,
    Warn,
    Overdue,
}

words!(Move, "move", [
    Open => "open",
    Accept => "accept",
    File => "file",
    Decline => "decline",
    Dispatch => "dispatch",
    Return => "return",
    Handle => "handle",
    VerifyPass => "verify_pass",
    VerifyFail => "verify_fail",
    Close => "close",
    ForceClose => "force_close",
    Withdraw => "withdraw",
    Reopen => "reopen",
    HandOver => "hand_over",
    Extend => "extend",
    Defer => "defer",
    Resume => "resume",
    Merge => "merge",
    Absorb => "absorb",
    Split => "split",
    Note => "note",
    Amend => "amend",
    FindAgain => "find_again",
    Warn => "warn",
    Overdue => "overdue",
]);

/// What a move cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Why, in words.
    Remark,
    /// A department: the move's, or the one that the case has already.
    Department,
    /// The code prefix of a jurisdiction; empty is the city.
    Jurisdiction,
    /// Minutes more, in the time of the clock.
    Minutes,
    /// A moment that is to come.
    Until,
    /// Another case.
    Into,
    /// Some of the case's violations, and not all of them.
    Violations,
}

words!(Need, "need", [
    Remark => "remark",
    Department => "department",
    Jurisdiction => "jurisdiction",
    Minutes => "minutes",
    Until => "until",
    Into => "into",
    Violations => "violations",
]);

/// What a move does with the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// Nothing.
    Kept,
    /// The first stops (and does not mind when it does not run), the second begins.
    Next(&'static [ClockKind], ClockKind),
    /// These begin.
    Begin(&'static [ClockKind]),
    /// All stop.
    Stop,
    /// All stand still.
    Suspend,
    /// All run again.
    Resume,
    /// Those that run get more time: of the stage, and in all.
    Extend,
}

/// Whether a case that is put off may be moved so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deferral {
    /// Only one that is not.
    Not,
    /// Only one that is.
    Only,
    /// Both.
    Any,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name.
    pub name: Move,
    /// What it is, for people.
    pub what: &'static str,
    /// From these stages; none for what begins a case.
    pub from: &'static [Stage],
    /// To this one; `None` is the same.
    pub to: Option<Stage>,
    /// Who may.
    pub by: &'static [Role],
    /// What it cannot do without.
    pub needs: &'static [Need],
    /// What it does with the clocks.
    pub clocks: Clocks,
    /// Whether the case may be put off.
    pub deferral: Deferral,
}

const OPEN: &[Stage] = &[
    Stage::Collected,
    Stage::Accepted,
    Stage::Filed,
    Stage::Dispatched,
    Stage::Handled,
    Stage::Verified,
];
/// Before a department reports it done.
const UNHANDLED: &[Stage] = &[
    Stage::Collected,
    Stage::Accepted,
    Stage::Filed,
    Stage::Dispatched,
];
const EVERY: &[Stage] = &Stage::ALL;
const DESK: &[Role] = &[Role::Operator, Role::Dispatcher, Role::Leader];
const BY_SYSTEM: &[Role] = &[Role::System];
const DESK_OR_SYSTEM: &[Role] = &[Role::Operator, Role::Dispatcher, Role::Leader, Role::System];

/// The table. Of several rows for one move at most one has a given stage among its `from`.
pub const RULES: &[Rule] = &[
    Rule {
        name: Move::Open,
        what: "A check found it, or a person reports it",
        from: &[],
        to: Some(Stage::Collected),
        by: &[Role::System, Role::Inspector, Role::Operator, Role::Leader],
        needs: &[],
        clocks: Clocks::Begin(&[ClockKind::Filing, ClockKind::Total]),
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::Accept,
        what: "受理: it is what it says, and a matter of ours",
        from: &[Stage::Collected],
        to: Some(Stage::Accepted),
        by: &[Role::Operator, Role::Inspector, Role::Leader, Role::System],
        needs: &[],
        clocks: Clocks::Kept,
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::File,
        what: "立案: it meets the filing condition",
        from: &[Stage::Accepted],
        to: Some(Stage::Filed),
        by: &[Role::Operator, Role::Leader, Role::System],
        needs: &[],
        clocks: Clocks::Next(&[ClockKind::Filing], ClockKind::Dispatch),
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::Decline,
        what: "不予立案: it does not",
        from: &[Stage::Collected, Stage::Accepted],
        to: Some(Stage::Declined),
        by: &[Role::Operator, Role::Inspector, Role::Leader],
        needs: &[Need::Remark],
        clocks: Clocks::Stop,
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::Dispatch,
        what: "派遣: to the responsible department, also of a jurisdiction within one's own",
        from: &[Stage::Filed],
        to: Some(Stage::Dispatched),
        by: &[Role::Dispatcher, Role::Leader, Role::System],
        needs: &[Need::Department],
        clocks: Clocks::Next(&[ClockKind::Dispatch], ClockKind::Handling),
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::Return,
        what: "退回: the department is not responsible",
        from: &[Stage::Dispatched],
        to: Some(Stage::Filed),
        by: &[Role::Department, Role::Dispatcher, Role::Leader],
        needs: &[Need::Remark],
        clocks: Clocks::Next(&[ClockKind::Handling], ClockKind::Dispatch),
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::Handle,
        what: "处置: the department reports it done",
        from: &[Stage::Dispatched],
        to: Some(Stage::Handled),
        by: &[Role::Department, Role::Dispatcher, Role::Leader],
        needs: &[],
        clocks: Clocks::Next(&[ClockKind::Handling], ClockKind::Checking),
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::VerifyPass,
        what: "核查通过: it is done",
        from: &[Stage::Handled],
        to: Some(Stage::Verified),
        by: &[Role::Inspector, Role::Operator, Role::Leader],
        needs: &[],
        clocks: Clocks::Next(&[ClockKind::Checking], ClockKind::Closing),
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::VerifyFail,
        what: "返工: it is not; back to the department, counted",
        from: &[Stage::Handled],
        to: Some(Stage::Dispatched),
        by: &[Role::Inspector, Role::Operator, Role::Leader],
        needs: &[Need::Remark],
        clocks: Clocks::Next(&[ClockKind::Checking], ClockKind::Handling),
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::Close,
        what: "结案",
        from: &[Stage::Verified],
        to: Some(Stage::Closed),
        by: &[Role::Operator, Role::Leader, Role::System],
        needs: &[],
        clocks: Clocks::Stop,
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::ForceClose,
        what: "强制结案: without the rest of the way, marked",
        from: &[
            Stage::Filed,
            Stage::Dispatched,
            Stage::Handled,
            Stage::Verified,
        ],
        to: Some(Stage::Closed),
        by: &[Role::Leader],
        needs: &[Need::Remark],
        clocks: Clocks::Stop,
        deferral: Deferral::Any,
    },
    Rule {
        name: Move::Withdraw,
        what: "撤销: it should not be a case, or later data disproved it",
        from: OPEN,
        to: Some(Stage::Withdrawn),
        by: &[Role::Operator, Role::Leader, Role::System],
        needs: &[Need::Remark],
        clocks: Clocks::Stop,
        deferral: Deferral::Any,
    },
    Rule {
        name: Move::Reopen,
        what: "Taken up again after closing: to be dispatched again",
        from: &[Stage::Closed],
        to: Some(Stage::Filed),
        by: &[Role::Leader],
        needs: &[Need::Remark],
        clocks: Clocks::Begin(&[ClockKind::Dispatch, ClockKind::Total]),
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::Reopen,
        what: "Taken up again after it was refused or withdrawn",
        from: &[Stage::Declined, Stage::Withdrawn],
        to: Some(Stage::Collected),
        by: &[Role::Leader],
        needs: &[Need::Remark],
        clocks: Clocks::Begin(&[ClockKind::Filing, ClockKind::Total]),
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::HandOver,
        what: "Another jurisdiction handles it: one within one's own, or one that this one lies in",
        from: &[Stage::Collected, Stage::Accepted, Stage::Filed],
        to: None,
        by: DESK,
        needs: &[Need::Jurisdiction, Need::Remark],
        clocks: Clocks::Kept,
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::Extend,
        what: "延期: more time to handle it",
        from: &[Stage::Dispatched],
        to: None,
        by: &[Role::Dispatcher, Role::Leader],
        needs: &[Need::Minutes, Need::Remark],
        clocks: Clocks::Extend,
        deferral: Deferral::Any,
    },
    Rule {
        name: Move::Defer,
        what: "缓办: put off; its clocks stand still",
        from: &[Stage::Filed, Stage::Dispatched],
        to: None,
        by: &[Role::Dispatcher, Role::Leader],
        needs: &[Need::Until, Need::Remark],
        clocks: Clocks::Suspend,
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::Resume,
        what: "Goes on, by itself when the time has come",
        from: &[Stage::Filed, Stage::Dispatched],
        to: None,
        by: &[Role::Dispatcher, Role::Leader, Role::System],
        needs: &[],
        clocks: Clocks::Resume,
        deferral: Deferral::Only,
    },
    Rule {
        name: Move::Merge,
        what: "Another case is about the same and takes over its violations",
        from: UNHANDLED,
        to: Some(Stage::Withdrawn),
        by: DESK_OR_SYSTEM,
        needs: &[Need::Into, Need::Remark],
        clocks: Clocks::Stop,
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::Absorb,
        what: "The other half of a merge: violations came from another case",
        from: UNHANDLED,
        to: None,
        by: DESK_OR_SYSTEM,
        needs: &[Need::Into],
        clocks: Clocks::Kept,
        deferral: Deferral::Any,
    },
    Rule {
        name: Move::Split,
        what: "Some of its violations become a case of their own, in the same stage",
        from: UNHANDLED,
        to: None,
        by: DESK,
        needs: &[Need::Violations, Need::Remark],
        clocks: Clocks::Kept,
        deferral: Deferral::Not,
    },
    Rule {
        name: Move::Note,
        what: "A remark for the history",
        from: EVERY,
        to: None,
        by: Role::ALL,
        needs: &[Need::Remark],
        clocks: Clocks::Kept,
        deferral: Deferral::Any,
    },
    Rule {
        name: Move::Amend,
        what: "Later data changed what is known; a case that a person ended stays ended",
        from: EVERY,
        to: None,
        by: BY_SYSTEM,
        needs: &[Need::Remark],
        clocks: Clocks::Kept,
        deferral: Deferral::Any,
    },
    Rule {
        name: Move::FindAgain,
        what: "Later data proved what earlier data had disproved",
        from: &[Stage::Withdrawn],
        to: Some(Stage::Collected),
        by: BY_SYSTEM,
        needs: &[],
        clocks: Clocks::Begin(&[ClockKind::Filing, ClockKind::Total]),
        deferral: Deferral::Any,
    },
    Rule {
        name: Move::Warn,
        what: "A clock has used most of its limit",
        from: OPEN,
        to: None,
        by: BY_SYSTEM,
        needs: &[],
        clocks: Clocks::Kept,
        deferral: Deferral::Any,
    },
    Rule {
        name: Move::Overdue,
        what: "A clock has exceeded its limit",
        from: OPEN,
        to: None,
        by: BY_SYSTEM,
        needs: &[],
        clocks: Clocks::Kept,
        deferral: Deferral::Any,
    },
];

impl Rule {
    /// The row of a move from a stage.
    #[must_use]
    pub fn of(name: Move, from: Stage) -> Option<&'static Self> {
        RULES
            .iter()
            .find(|rule| rule.name == name && rule.from.contains(&from))
    }

    /// The stage that it leads to.
    #[must_use]
    pub fn leads_to(&self, from: Stage) -> Stage {
        self.to.unwrap_or(from)
    }

    /// A person may ask for it. The rest follows from other things.
    #[must_use]
    pub fn is_for_people(&self) -> bool {
        let is_open = !self.from.is_empty() && self.name != Move::Absorb;
        is_open && self.by.iter().any(|role| *role != Role::System)
    }
}
