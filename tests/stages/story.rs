//! One story: what happens, in which order, by the seed.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use gateway::{
    ingest::record,
    outlets::{
        Consumer as _,
        evaluator::EvaluatorConsumer,
        follower::{Step as Followed, StepError},
        store_writer::StoreWriter,
    },
};
use storage::{
    file_system::faulty::{Faults, FaultyDisk, Random},
    log::{AppendError, LogError, LogSource as _, LogState, RecordKind, Step},
    store::{
        Store,
        faulty::{FaultyStore, StoreFaults},
    },
};

use crate::{
    judge,
    process::{City, Process, Work, open},
    terminals::{Fate, Key, START_S, Terminal},
};

/// A record, and the reports in it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: RecordKind,
    pub(crate) received_at: i64,
    pub(crate) payload: Vec<u8>,
    pub(crate) reports: Vec<(Key, Fate)>,
}

/// A frame that waits for its record to be durable.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    record: u64,
    terminal: usize,
    message: usize,
}

/// What happened in some stories: that the test tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Frames that were sent, and of them: durable, lost before they were, not taken.
    pub(crate) received: u64,
    pub(crate) durable: u64,
    pub(crate) lost: u64,
    pub(crate) rejected: u64,
    /// Frames that were sent again.
    pub(crate) resent: u64,
    /// Reports in durable records, and of them: stored, there already, in quarantine.
    pub(crate) reports: u64,
    pub(crate) stored: u64,
    pub(crate) duplicates: u64,
    pub(crate) quarantined: u64,
    pub(crate) cases: u64,
    pub(crate) restarts: u64,
    /// Processes that ended while a consumer waited for the store.
    pub(crate) ended_at_the_store: u64,
    pub(crate) store_failures: u64,
    pub(crate) removed_records: u64,
    pub(crate) full_disks: u64,
    pub(crate) damage_noticed: u64,
}

impl Totals {
    fn all(&mut self) -> [&mut u64; 16] {
        [
            &mut self.received,
            &mut self.durable,
            &mut self.lost,
            &mut self.rejected,
            &mut self.resent,
            &mut self.reports,
            &mut self.stored,
            &mut self.duplicates,
            &mut self.quarantined,
            &mut self.cases,
            &mut self.restarts,
            &mut self.ended_at_the_store,
            &mut self.store_failures,
            &mut self.removed_records,
            &mut self.full_disks,
            &mut self.damage_noticed,
        ]
    }

    pub(crate) fn add(&mut self, mut other: Self) {
        for (sum, value) in self.all().into_iter().zip(other.all()) {
            *sum += *value;
        }
    }

    pub(crate) fn assert_all_happened(mut self) {
        let text = format!("{self:?}");
        assert!(
            self.all().into_iter().all(|count| *count > 0),
            "not all of it was tested: {text}"
        );
    }
}

pub(crate) struct Story<'a> {
    city: &'a City,
    random: Random,
    disk: FaultyDisk,
    /// Without faults, to look into.
    inner: Arc<dyn Store>,
    store: FaultyStore,
    process: Process,
    terminals: Vec<Terminal>,
    /// Milliseconds since 1970.
    clock: i64,
    /// Every record by its number; a restart forgets those that were lost before they were durable.
    records: Vec<Entry>,
    /// The number behind the last record that was acknowledged.
    acknowledged: u64,
    waiting: Vec<Waiting>,
    totals: Totals,
}

impl<'a> Story<'a> {
    pub(crate) fn new(seed: u64, city: &'a City, inner: Arc<dyn Store>) -> Self {
        let mut random = Random(!seed);
        let disk = FaultyDisk::new(seed);
        let store = FaultyStore::over(Arc::clone(&inner), random.next());
        let (log, writer, _) = open(&disk).unwrap();
        let process = Process::start((log, writer), &store, city, random.below(2) == 0);
        Self {
            city,
            random,
            disk,
            inner,
            store,
            process,
            terminals: (0..3).map(Terminal::new).collect(),
            clock: START_S * 1_000,
            records: Vec::new(),
            acknowledged: 0,
            waiting: Vec::new(),
            totals: Totals::default(),
        }
    }

    pub(crate) const fn totals(&self) -> Totals {
        self.totals
    }

    pub(crate) fn act(&mut self) {
        self.clock += i64::try_from(self.random.below(2_000)).unwrap();
        match self.random.below(1_000) {
            0..330 => self.send_new(),
            330..370 => self.resend(),
            370..380 => self.append(record::TICK, &[], Vec::new()),
            380..600 => self.step_log(),
            600..740 => self.step_store_writer(Work::Step),
            740..850 => self.step_evaluator(Work::Step),
            850..880 => self.step_evaluator(Work::Settle),
            880..900 => drop(self.process.log.retain()),
            900..915 => {
                let free = self.random.below(3_000);
                self.disk.set_capacity(self.disk.used_bytes() + free);
            }
            915..930 => self.disk.set_capacity(u64::MAX),
            930..945 => self.change_disk_faults(),
            945..965 => self.change_store_faults(),
            965..972 => self.disk.die_after(self.random.below(12)),
            972..980 => self.damage(),
            980..990 => self.restart(),
            _ => self.send_new(),
        }
    }

    fn often(&mut self, most: u64) -> u32 {
        u32::try_from(self.random.below(most)).unwrap()
    }

    fn change_disk_faults(&mut self) {
        let faults = Faults {
            short_write: self.often(500),
            failed_write: self.often(15),
            failed_sync: self.often(15),
            failed_change: self.often(60),
            stale_space: self.often(1_024),
        };
        self.disk.set_faults(faults);
    }

    fn change_store_faults(&mut self) {
        let faults = StoreFaults {
            unavailable: self.often(200),
            lost_answer: self.often(400),
            torn: self.often(300),
            slow: self.often(1_024),
            rows_max: 0,
        };
        self.store.set_faults(faults);
    }

    fn any_terminal(&mut self) -> usize {
        usize::try_from(self.random.below(self.terminals.len() as u64)).unwrap()
    }

    /// A terminal makes a message, and sends it unless it is late with it.
    fn send_new(&mut self) {
        let terminal = self.any_terminal();
        let (message, newest_s) = self.terminals[terminal].make(&mut self.random);
        self.clock = self.clock.max(newest_s * 1_000);
        if self.random.below(10) > 0 {
            self.send(terminal, message);
        }
    }

    /// A terminal sends something again: the oldest that was not acknowledged, or, as if the
    /// answers had been lost, a storm of its last messages.
    fn resend(&mut self) {
        let terminal = self.any_terminal();
        let messages = &self.terminals[terminal].messages;
        let count = messages.len();
        let unanswered = messages.iter().position(|m| !m.is_acknowledged);
        let from = match unanswered {
            Some(oldest) if self.random.below(4) > 0 => oldest..oldest + 1,
            _ => count - count.min(usize::try_from(self.random.below(12)).unwrap())..count,
        };
        for message in from {
            self.totals.resent += 1;
            self.send(terminal, message);
        }
    }

    fn send(&mut self, terminal: usize, message: usize) {
        let sent = self.terminals[terminal].messages[message].clone();
        self.totals.received += 1;
        let record = self.records.len() as u64;
        self.append(record::FRAME, &sent.payload, sent.reports);
        if self.records.len() as u64 > record {
            self.waiting.push(Waiting {
                record,
                terminal,
                message,
            });
        } else {
            self.totals.rejected += 1;
        }
    }

    fn append(&mut self, kind: RecordKind, payload: &[u8], reports: Vec<(Key, Fate)>) {
        let log = &self.process.log;
        match log.append_parts(kind, self.clock, &[payload]) {
            Ok(number) => {
                assert_eq!(number, self.records.len() as u64, "numbers are dense");
                self.records.push(Entry {
                    kind,
                    received_at: self.clock,
                    payload: payload.to_vec(),
                    reports,
                });
            }
            Err(AppendError::Full | AppendError::Poisoned) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn step_log(&mut self) {
        let step = self.process.writer.step();
        match step {
            Step::Synced { .. } | Step::Idle => {}
            Step::NoRoom { .. } => {
                let state = self.process.log.status().state;
                assert!(matches!(state, LogState::NoRoom(_)), "{state:?}");
                self.totals.full_disks += 1;
            }
            Step::Poisoned { .. } => {
                self.answer();
                return self.restart();
            }
        }
        self.answer();
    }

    /// What waits for its record is acknowledged when the log says so.
    fn answer(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let log = &self.process.log;
        let (terminals, acknowledged) = (&mut self.terminals, &mut self.acknowledged);
        self.waiting.retain(|waiting| {
            let wait = pin!(log.wait_durable(waiting.record + 1));
            if !matches!(wait.poll(&mut context), Poll::Ready(Ok(()))) {
                return true;
            }
            terminals[waiting.terminal].messages[waiting.message].is_acknowledged = true;
            *acknowledged = (*acknowledged).max(waiting.record + 1);
            false
        });
    }

    fn step_store_writer(&mut self, work: Work) {
        let outcome = self.process.store_writer.go_on(&self.store, work);
        if let Some(Ok(Followed::Started)) = outcome {
            let log = &self.process.log;
            let lag = log.lag(StoreWriter::NAME).unwrap();
            self.process.began_at = Some(log.durable() - lag);
        }
        self.after(outcome);
    }

    fn step_evaluator(&mut self, work: Work) {
        let outcome = self.process.evaluator.go_on(&self.store, work);
        self.after(outcome);
    }

    /// A log that cannot be read ends the process; a store that fails does not.
    fn after(&mut self, outcome: Option<Result<Followed, StepError>>) {
        match outcome {
            Some(Err(StepError::Log(_))) => self.restart(),
            Some(Err(StepError::Store(_))) => self.totals.store_failures += 1,
            Some(Ok(_)) | None => {}
        }
    }

    /// A bit of the log is not what it was, consumers go on, and the file comes back from a copy.
    fn damage(&mut self) {
        use storage::file_system::FileSystem as _;
        let directory = std::path::Path::new("/data/log");
        let mut names = self.disk.list(directory).unwrap_or_default();
        names.retain(|name| name.ends_with(".log"));
        names.sort();
        if names.is_empty() {
            return;
        }
        let index = usize::try_from(self.random.below(names.len() as u64)).unwrap();
        let path = directory.join(&names[index]);
        let bits = 8 * self.disk.content(&path).unwrap().len() as u64;
        let bit = self.random.below(bits);
        if !self.disk.flip_bit(&path, bit) {
            return;
        }
        let mut outcomes = Vec::new();
        for _ in 0..3 {
            outcomes.push(self.process.store_writer.go_on(&self.store, Work::Step));
            outcomes.push(self.process.evaluator.go_on(&self.store, Work::Step));
        }
        self.disk.flip_bit(&path, bit);
        if outcomes
            .iter()
            .any(|o| matches!(o, Some(Err(StepError::Log(_)))))
        {
            self.totals.damage_noticed += 1;
        }
        if self.process.began_at.is_none() {
            // It may have started meanwhile: this process is not worth the bookkeeping.
            return self.restart();
        }
        for outcome in outcomes {
            if matches!(outcome, Some(Err(StepError::Log(_)))) {
                return self.restart();
            }
        }
    }

    /// The process ends, and starts as often as it takes: it may crash while it recovers.
    fn restart(&mut self) {
        self.close_the_books();
        self.totals.restarts += 1;
        let is_busy = |is_busy: bool| u64::from(is_busy);
        self.totals.ended_at_the_store += is_busy(
            matches!(self.process.store_writer, crate::process::Place::Busy(_))
                || matches!(self.process.evaluator, crate::process::Place::Busy(_)),
        );
        self.crash();
        self.disk.set_capacity(u64::MAX);
        let (log, writer) = self.open();
        let status = log.status();
        assert!(
            status.next >= self.acknowledged,
            "{} were acknowledged: {status:?}",
            self.acknowledged
        );
        assert!(
            status.next <= self.records.len() as u64,
            "more than was appended: {status:?}"
        );
        assert_eq!((status.durable, status.state), (status.next, LogState::Ok));
        let next = usize::try_from(status.next).unwrap();
        let lost = self.records.drain(next..);
        self.totals.lost += lost.filter(|entry| entry.kind == record::FRAME).count() as u64;
        self.waiting.clear();
        let snapshots_always = self.random.below(2) == 0;
        self.process = Process::start((log, writer), &self.store, self.city, snapshots_always);
        for consumer in [StoreWriter::NAME, EvaluatorConsumer::NAME] {
            let cursor = judge::now(self.inner.cursor(self.process.log.id(), consumer));
            let cursor = cursor.unwrap_or_default();
            assert!(
                (status.first..=status.next).contains(&cursor),
                "{consumer} stands at {cursor}: {status:?}"
            );
        }
        self.compare_log();
    }

    fn crash(&mut self) {
        if self.random.below(2) == 0 {
            self.disk.power_cut();
        } else {
            self.disk.kill();
        }
    }

    fn open(&mut self) -> (storage::log::Log, storage::log::LogWriter) {
        for attempt in 0_u64.. {
            let may_fail = attempt < self.random.below(3);
            let mut faults = Faults::default();
            if may_fail {
                self.disk.die_after(self.random.below(30));
                faults.failed_sync = self.often(300);
            }
            self.disk.set_faults(faults);
            match open(&self.disk) {
                Ok((log, writer, _)) if !may_fail => return (log, writer),
                Ok(_) => {}
                Err(LogError::Io { .. }) if may_fail => {}
                Err(error) => panic!("{error}"),
            }
            self.crash();
        }
        unreachable!("the attempts do not end")
    }

    /// The log has the records that were appended, each in its place.
    fn compare_log(&self) {
        let first = self.process.log.status().first;
        let mut reader = self.process.log.reader(first).unwrap();
        let records = reader.read(usize::MAX, usize::MAX).unwrap();
        assert_eq!(reader.position(), self.records.len() as u64);
        for record in records {
            let entry = &self.records[usize::try_from(record.offset).unwrap()];
            assert_eq!(
                (record.kind, record.received_at),
                (entry.kind, entry.received_at)
            );
            assert!(record.payload == entry.payload[..], "another record");
        }
    }

    /// What the process has counted is what it has done since its start.
    fn close_the_books(&mut self) {
        let log = &self.process.log;
        let Some(began_at) = self.process.began_at else {
            return;
        };
        let done = log.durable() - log.lag(StoreWriter::NAME).unwrap();
        let range = usize::try_from(began_at).unwrap()..usize::try_from(done).unwrap();
        let reports: usize = self.records[range].iter().map(|e| e.reports.len()).sum();
        let counted = self.process.books().sum("gridtrace_positions_stored_total");
        assert_eq!(counted, reports as u64, "records {began_at} to {done}");
    }

    /// All is well again: terminals send what was not acknowledged, consumers catch up, and
    /// everything is there once.
    pub(crate) fn finish(&mut self) {
        self.disk.set_faults(Faults::default());
        self.store.set_faults(StoreFaults::default());
        self.disk.set_capacity(u64::MAX);
        if self.random.below(2) == 0 {
            self.restart();
        }
        let mut rounds = 0;
        while !self.is_finished() {
            rounds += 1;
            assert!(
                rounds < 1_000,
                "it does not go on: {:?}",
                self.process.log.status()
            );
            for terminal in 0..self.terminals.len() {
                self.send_again(terminal);
            }
            self.step_log();
            self.step_store_writer(Work::Step);
            self.step_evaluator(Work::Step);
            if rounds % 3 == 0 {
                self.step_evaluator(Work::Settle);
            }
        }
        self.close_the_books();
        let books = self.process.books();
        assert_eq!(books.sum("gridtrace_store_errors_total"), 0);
        let frames = self
            .records
            .iter()
            .filter(|entry| entry.kind == record::FRAME);
        self.totals.durable = frames.count() as u64;
        self.totals.removed_records = self.process.log.status().first;
        judge::judge(
            &*self.inner,
            self.city,
            &self.terminals,
            &self.records,
            &mut self.totals,
        );
    }

    /// The oldest messages that were not acknowledged and are not on their way.
    fn send_again(&mut self, terminal: usize) {
        let waits = |message: usize| {
            let is_it = |w: &Waiting| w.terminal == terminal && w.message == message;
            self.waiting.iter().any(is_it)
        };
        let messages = self.terminals[terminal].messages.iter().enumerate();
        let unanswered: Vec<_> = messages
            .filter(|(index, message)| !message.is_acknowledged && !waits(*index))
            .map(|(index, _)| index)
            .take(5)
            .collect();
        for message in unanswered {
            self.send(terminal, message);
        }
    }

    fn is_finished(&self) -> bool {
        let all = self
            .terminals
            .iter()
            .flat_map(|terminal| &terminal.messages);
        let log = &self.process.log;
        all.into_iter().all(|message| message.is_acknowledged)
            && log.status().next == log.durable()
            && [StoreWriter::NAME, EvaluatorConsumer::NAME]
                .iter()
                .all(|name| log.lag(name) == Some(0))
            && self.process.began_at.is_some()
    }
}
