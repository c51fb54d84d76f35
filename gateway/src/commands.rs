//! Commands to terminals (下行指令): from whoever asks to the terminal, and its answer back.
//!
//! ```text
//! HTTP, or a caller in this process
//!    │ enqueue: on disk when it returns
//!    ▼
//! desk ── one mailbox for each terminal: what is next, what is overdue
//!    │ Sent is on disk
//!    ▼
//! the session's downlink ── its connection ──▶ terminal
//!                                                  │
//! desk ◀── answers that a session was told to expect
//! ```
//!
//! The desk is one task. It gathers what happens, writes it down in one transaction, and only then
//! sends: a command that may have reached its terminal is never taken for one that has not. What
//! can be repeated is sent again, byte by byte the same, and over a later connection; what cannot
//! (0x8105, 0x8500) is sent once, and fails as `outcome_unknown` where the link ended meanwhile.

pub mod areas;
pub mod attachments;
pub mod mailbox;
mod request;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use geofence::{identity::TerminalId, units::Timestamp};
use protocols::jt808::{message::MessageId, series::SentSeries};
use storage::{
    commands::{
        Command, CommandChange, CommandId, CommandState, Commands, EnqueueError, Enqueued,
        NewCommand, Outcome,
    },
    store::StoreError,
};
use tokio::{
    sync::{broadcast, mpsc},
    task::block_in_place,
};
use tokio_util::sync::CancellationToken;

use self::mailbox::{Mailbox, Move};
pub use self::{
    mailbox::TerminalAnswer,
    request::{CommandRequest, Expiry, RequestError},
};
use crate::{
    Gateway, clock,
    metrics::Metrics,
    session::{control::Order, directory::Owner},
};

/// What waits for the desk; connections and callers wait when it is full.
const QUEUED_MAX: usize = 1_024;
/// What the desk takes at once.
const BATCH_MAX: usize = 256;
const TICK: Duration = Duration::from_secs(1);
/// Closed commands that a listener may be behind before it loses some.
const CLOSED_KEPT: usize = 1_024;
/// Commands that are over are deleted so often.
const RETENTION_INTERVAL: Duration = Duration::from_secs(600);

/// What the desk is told.
#[derive(Debug)]
enum Told {
    Enqueued(Box<Command>),
    Cancelled(TerminalId, CommandId),
    Answered(TerminalId, Box<TerminalAnswer>),
}

/// The desk, as others see it.
#[derive(Debug)]
pub struct CommandDesk {
    store: Arc<Commands>,
    told: mpsc::Sender<Told>,
    closed: broadcast::Sender<CommandId>,
    metrics: Arc<Metrics>,
}

/// Why a command was not taken back.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// There is no such command.
    #[error("no such command")]
    Unknown,
    /// It is over.
    #[error("the command is {} already", .0.as_str())]
    Closed(CommandState),
    /// The file could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CommandDesk {
    /// The desk, and what its task reads.
    #[must_use]
    pub fn new(store: Commands, metrics: Arc<Metrics>) -> (Self, DeskInbox) {
        let (told, inbox) = mpsc::channel(QUEUED_MAX);
        let desk = Self {
            store: Arc::new(store),
            told,
            closed: broadcast::channel(CLOSED_KEPT).0,
            metrics,
        };
        (desk, DeskInbox(inbox))
    }

    /// Queues a command. It is on disk when this returns, and on its way when its terminal is
    /// there.
    ///
    /// # Errors
    /// When it is refused, or the file cannot be written.
    pub async fn enqueue(&self, command: NewCommand) -> Result<Enqueued, EnqueueError> {
        let result = self
            .in_background(move |store| store.enqueue(&command))
            .await;
        let word = match &result {
            Ok(enqueued) if enqueued.is_new => "queued",
            Ok(_) => "known",
            Err(error) => error.reason(),
        };
        self.metrics
            .count("commands_requested_total", "result", word, 1);
        let enqueued = result?;
        if enqueued.is_new {
            self.tell(Told::Enqueued(Box::new(enqueued.command.clone())))
                .await;
        }
        Ok(enqueued)
    }

    /// Takes a command back. One that was sent may have been done all the same.
    ///
    /// # Errors
    /// When there is none, it is over, or the file cannot be written.
    pub async fn cancel(&self, id: CommandId, by: Option<String>) -> Result<(), CancelError> {
        let change = CommandChange {
            id,
            at: clock::now(),
            change: storage::commands::Change::Cancelled { by },
        };
        let outcome = self
            .in_background(move |store| {
                let outcomes = store.apply(&[change])?;
                let command = store.get(id)?.map(|(command, _)| command);
                Ok::<_, StoreError>((outcomes.first().copied(), command))
            })
            .await?;
        match outcome {
            (Some(Outcome::Done(state)), Some(command)) => {
                self.count_closed(state);
                self.tell(Told::Cancelled(command.terminal, id)).await;
                self.closed.send(id).ok();
                Ok(())
            }
            (Some(Outcome::NotAllowed(state)), _) => Err(CancelError::Closed(state)),
            _ => Err(CancelError::Unknown),
        }
    }

    /// What a terminal said that may be an answer.
    pub async fn answered(&self, terminal: TerminalId, answer: TerminalAnswer) {
        self.tell(Told::Answered(terminal, Box::new(answer))).await;
    }

    /// The file of the commands, for those who only read it and may wait for the disk.
    #[must_use]
    pub fn file(&self) -> Arc<Commands> {
        Arc::clone(&self.store)
    }

    /// Every command that ends from now on.
    #[must_use]
    pub fn subscribe_closed(&self) -> broadcast::Receiver<CommandId> {
        self.closed.subscribe()
    }

    /// Asks the file, off the threads that serve connections.
    pub async fn in_background<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Commands) -> T + Send + 'static,
    ) -> T {
        let store = Arc::clone(&self.store);
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    async fn tell(&self, told: Told) {
        // A desk that has stopped finds it in the file at the next start.
        self.told.send(told).await.ok();
    }

    fn count_closed(&self, state: CommandState) {
        let name = "commands_closed_total";
        self.metrics.count(name, "state", state.as_str(), 1);
    }

    /// Commands that are queued or sent.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.store.totals().open
    }
}

/// What the desk's task reads.
#[derive(Debug)]
pub struct DeskInbox(mpsc::Receiver<Told>);

/// The desk at work.
struct Desk {
    gateway: Arc<Gateway>,
    mailboxes: HashMap<TerminalId, Mailbox>,
    /// Mailboxes with something on its way: time passes for them.
    busy: HashSet<TerminalId>,
    /// Decided, and not on disk yet.
    changes: Vec<CommandChange>,
    /// To be sent once that is on disk.
    sendings: Vec<Sending>,
}

struct Sending {
    id: CommandId,
    terminal: TerminalId,
    epoch: u64,
    series: SentSeries,
}

/// Works until told to stop.
pub async fn run(gateway: Arc<Gateway>, inbox: DeskInbox, stop: CancellationToken) {
    let DeskInbox(mut inbox) = inbox;
    let mut opened = gateway.directory.subscribe_opened();
    let mut desk = Desk::new(gateway);
    desk.restore();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut retention = tokio::time::interval(RETENTION_INTERVAL);
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        let mut touched = HashSet::new();
        tokio::select! {
            () = stop.cancelled() => return desk.write(),
            count = inbox.recv_many(&mut batch, BATCH_MAX) => {
                if count == 0 {
                    return desk.write();
                }
                touched.extend(batch.drain(..).map(|told| desk.on_told(told)));
            }
            session = opened.recv() => match session {
                Ok(session) => {
                    touched.insert(session.terminal);
                    while let Ok(session) = opened.try_recv() {
                        touched.insert(session.terminal);
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    touched.extend(desk.mailboxes.keys());
                }
                Err(broadcast::error::RecvError::Closed) => return desk.write(),
            },
            _ = tick.tick() => {
                desk.expire();
                touched.extend(&desk.busy);
            }
            _ = retention.tick() => desk.forget_old(),
        }
        for terminal in touched {
            desk.turn(terminal);
        }
        desk.write();
    }
}

impl Desk {
    fn new(gateway: Arc<Gateway>) -> Self {
        Self {
            gateway,
            mailboxes: HashMap::new(),
            busy: HashSet::new(),
            changes: Vec::new(),
            sendings: Vec::new(),
        }
    }

    fn restore(&mut self) {
        let open = match block_in_place(|| self.gateway.commands.store.open_commands()) {
            Ok(open) => open,
            Err(error) => return self.gateway.fail(&format!("commands: {error}")),
        };
        let now = clock::now();
        for command in open {
            let terminal = command.terminal;
            let mailbox = self.mailboxes.entry(terminal).or_default();
            let moved = mailbox.restore(command, now, &self.gateway.config.commands.rules);
            self.busy.insert(terminal);
            self.record(moved, now);
        }
        self.write();
    }

    fn on_told(&mut self, told: Told) -> TerminalId {
        let now = clock::now();
        match told {
            Told::Enqueued(command) => {
                let terminal = command.terminal;
                self.mailboxes.entry(terminal).or_default().push(*command);
                terminal
            }
            Told::Cancelled(terminal, id) => {
                if let Some(mailbox) = self.mailboxes.get_mut(&terminal) {
                    mailbox.remove(id);
                }
                terminal
            }
            Told::Answered(terminal, answer) => {
                let rules = &self.gateway.config.commands.rules;
                let moved = self
                    .mailboxes
                    .get_mut(&terminal)
                    .and_then(|mailbox| mailbox.answer(&answer, now, rules));
                if moved.is_none() {
                    self.gateway.metrics.command_answers_unmatched.increment(1);
                }
                self.record(moved, now);
                terminal
            }
        }
    }

    fn record(&mut self, moves: impl IntoIterator<Item = Move>, at: Timestamp) {
        self.changes.extend(
            moves
                .into_iter()
                .map(|(id, change)| CommandChange { id, at, change }),
        );
    }

    /// Looks at a terminal: what came back, what is overdue, what can be sent.
    fn turn(&mut self, terminal: TerminalId) {
        let Some(mut mailbox) = self.mailboxes.remove(&terminal) else {
            self.busy.remove(&terminal);
            return;
        };
        let now = clock::now();
        let gateway = Arc::clone(&self.gateway);
        let rules = &gateway.config.commands.rules;
        let owner = gateway.directory.owner_of(terminal);
        let lost = mailbox.on_link(owner.as_ref().map(|owner| owner.epoch), rules);
        self.record(lost, now);
        for (moved, series) in mailbox.on_time(now, rules) {
            let id = moved.0;
            self.record([moved], now);
            if let (Some(series), Some(owner)) = (series, &owner) {
                self.send(id, terminal, owner, series);
            }
        }
        if let Some(owner) = &owner {
            self.send_next(terminal, &mut mailbox, owner, now);
            owner.presence.downlink.expect(mailbox.is_expecting());
        }
        if mailbox.is_expecting() {
            self.busy.insert(terminal);
        } else {
            self.busy.remove(&terminal);
        }
        if !mailbox.is_empty() {
            self.mailboxes.insert(terminal, mailbox);
        }
    }

    fn send_next(
        &mut self,
        terminal: TerminalId,
        mailbox: &mut Mailbox,
        owner: &Owner,
        now: Timestamp,
    ) {
        let gateway = Arc::clone(&self.gateway);
        let settings = &gateway.config.commands;
        while let Some(command) = mailbox.next(now, &settings.rules) {
            let id = command.id;
            let downlink = &owner.presence.downlink;
            let series = request::body_of(command, downlink.revision(), downlink.text_encoding())
                .and_then(|body| {
                    downlink
                        .series(MessageId(command.message_id), body, settings.chunk_bytes)
                        .map_err(|error| error.to_string())
                });
            let moved = match series {
                Ok(series) => {
                    self.send(id, terminal, owner, series.clone());
                    mailbox.sent(id, owner.epoch, series, now, &settings.rules)
                }
                Err(reason) => Some(mailbox.fail(id, format!("not_sendable: {reason}"))),
            };
            self.record(moved, now);
        }
    }

    fn send(&mut self, id: CommandId, terminal: TerminalId, owner: &Owner, series: SentSeries) {
        let epoch = owner.epoch;
        self.sendings.push(Sending {
            id,
            terminal,
            epoch,
            series,
        });
    }

    /// Writes down what was decided, and sends what waits for that. What cannot be written is tried
    /// again with the next turn.
    fn write(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        let store = &self.gateway.commands.store;
        let outcomes = match block_in_place(|| store.apply(&self.changes)) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                self.gateway
                    .metrics
                    .count("command_errors_total", "reason", error.reason(), 1);
                tracing::warn!(%error, "what happened to commands cannot be written; tried again");
                return;
            }
        };
        let mut refused = HashSet::new();
        for (change, outcome) in std::mem::take(&mut self.changes).iter().zip(outcomes) {
            match outcome {
                Outcome::Done(state) if !state.is_open() => {
                    self.gateway.commands.count_closed(state);
                    self.gateway.commands.closed.send(change.id).ok();
                }
                Outcome::Done(_) => {}
                // Taken back or expired meanwhile.
                Outcome::NotAllowed(_) | Outcome::Unknown => {
                    refused.insert(change.id);
                }
            }
        }
        for sending in std::mem::take(&mut self.sendings) {
            if refused.contains(&sending.id) {
                if let Some(mailbox) = self.mailboxes.get_mut(&sending.terminal) {
                    mailbox.remove(sending.id);
                }
                continue;
            }
            self.transmit(&sending);
        }
    }

    fn transmit(&self, sending: &Sending) {
        let owner = self.gateway.directory.owner_of(sending.terminal);
        let Some(owner) = owner.filter(|owner| owner.epoch == sending.epoch) else {
            return;
        };
        let metrics = &self.gateway.metrics;
        if owner.presence.downlink.push(&sending.series, clock::now()) {
            owner.control.tell(Order::Send);
            metrics.commands_sent.increment(1);
        } else {
            metrics.count("command_errors_total", "reason", "outbox_full", 1);
        }
    }

    fn expire(&mut self) {
        let now = clock::now();
        match block_in_place(|| self.gateway.commands.store.expire(now)) {
            Ok(expired) => {
                for command in expired {
                    if let Some(mailbox) = self.mailboxes.get_mut(&command.terminal) {
                        mailbox.remove(command.id);
                    }
                    self.busy.insert(command.terminal);
                    self.gateway.commands.count_closed(CommandState::Expired);
                    self.gateway.commands.closed.send(command.id).ok();
                }
            }
            Err(error) => {
                self.gateway
                    .metrics
                    .count("command_errors_total", "reason", error.reason(), 1);
            }
        }
    }

    fn forget_old(&self) {
        let before = clock::now().before(self.gateway.config.commands.kept_for);
        let store = &self.gateway.commands.store;
        if let Err(error) = block_in_place(|| store.delete_closed_before(before)) {
            self.gateway
                .metrics
                .count("command_errors_total", "reason", error.reason(), 1);
        }
    }
}
