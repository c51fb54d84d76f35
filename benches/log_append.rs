//! The durable log on the disk that holds the temporary directory (`TMPDIR` names another one),
//! beside a bare loop of one write and one `fdatasync` with groups of the same size.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    fs,
    hint::black_box,
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use storage::{
    file_system::RealFileSystem,
    log::{AppendError, Log, LogConfig, LogSource as _, LogWriter, RecordKind, Step},
};

const RECORD: [u8; 100] = [7; 100];
const KIND: RecordKind = RecordKind(1);
const TIME: Duration = Duration::from_secs(3);
const SEGMENT_BYTES: u64 = 64 << 20;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    println!(
        "records of {} bytes; {}",
        RECORD.len(),
        file_system(directory.path())?
    );
    append_alone(&directory.path().join("memory"))?;
    saturated(directory.path())?;
    one_in_flight(directory.path(), 1_000)?;
    lone(directory.path())?;
    Ok(())
}

/// The mount point and type of the file system that holds a directory.
fn file_system(directory: &Path) -> io::Result<String> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    let holds = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        directory.starts_with(point).then_some((point.len(), kind))
    });
    let kind = holds
        .max_by_key(|(length, _)| *length)
        .map_or("unknown", |(_, kind)| kind);
    Ok(format!("file system {kind}"))
}

fn open(directory: &Path, commit_interval: Duration) -> Result<(Log, LogWriter), Failure> {
    let config = LogConfig {
        commit_interval,
        free_bytes_min: 0,
        ..LogConfig::default()
    };
    let (log, writer, _) = Log::open(Arc::new(RealFileSystem), directory, config)?;
    Ok((log, writer))
}

/// What a writer's thread did.
#[derive(Default)]
struct Synced {
    records: u64,
    groups: u64,
    bytes: u64,
    write: Duration,
    sync: Duration,
}

impl Synced {
    fn print(&self, what: &str, time: Duration) -> f64 {
        let rate = self.records as f64 / time.as_secs_f64();
        println!(
            "{what}: {rate:.0} records/s durable; {:.0} a group, {:.0} groups/s; \
             write {:.2} ms, sync {:.2} ms on average",
            self.records as f64 / self.groups.max(1) as f64,
            self.groups as f64 / time.as_secs_f64(),
            self.write.as_secs_f64() * 1e3 / self.groups.max(1) as f64,
            self.sync.as_secs_f64() * 1e3 / self.groups.max(1) as f64,
        );
        rate
    }
}

fn write(mut writer: LogWriter) -> Result<Synced, Failure> {
    let mut all = Synced::default();
    while writer.wait() {
        match writer.step() {
            Step::Synced {
                records,
                bytes,
                write,
                sync,
            } => {
                all.records += records;
                all.bytes += bytes;
                all.groups += 1;
                all.write += write;
                all.sync += sync;
            }
            Step::Idle => {}
            other => return Err(format!("{other:?}").into()),
        }
    }
    Ok(all)
}

/// The same groups without a log: the floor.
fn bare(directory: &Path, group_bytes: u64, records: f64) -> Result<f64, Failure> {
    let group = vec![7; usize::try_from(group_bytes.max(1))?];
    let directory = directory.join("bare");
    fs::create_dir(&directory)?;
    let mut file = fs::File::create(directory.join("0"))?;
    let (mut at, mut groups) = (0, 0_u64);
    let begun = Instant::now();
    while begun.elapsed() < TIME {
        file.write_all_at(&group, at)?;
        file.sync_data()?;
        groups += 1;
        at += group_bytes;
        if at > SEGMENT_BYTES {
            // A new file, as a log begins a new segment: memory that is used again is cheaper.
            file = fs::File::create(directory.join(groups.to_string()))?;
            at = 0;
        }
    }
    let rate = groups as f64 * records / begun.elapsed().as_secs_f64();
    fs::remove_dir_all(directory)?;
    println!("  bare write and fdatasync of {group_bytes} bytes: {rate:.0} records/s");
    Ok(rate)
}

/// The copy into the staging buffer, one thread, no disk in the time that is taken.
fn append_alone(directory: &Path) -> Result<(), Failure> {
    let (log, mut writer) = open(directory, Duration::ZERO)?;
    let (mut count, mut time) = (0_u64, Duration::ZERO);
    // The first rounds fault the memory in.
    for round in 0..12 {
        let begun = Instant::now();
        let mut appended = 0;
        while black_box(log.append_parts(KIND, 0, &[&[1, 13], &RECORD])).is_ok() {
            appended += 1;
        }
        if round >= 2 {
            time += begun.elapsed();
            count += appended;
        }
        writer.step();
    }
    let each = time.as_secs_f64() * 1e9 / count as f64;
    println!(
        "append, one thread: {:.1} million/s, {each:.0} ns each",
        1e3 / each
    );
    Ok(())
}

/// One thread appends as fast as it can; then everything is read.
fn saturated(directory: &Path) -> Result<(), Failure> {
    let path = directory.join("saturated");
    let (log, writer) = open(&path, LogConfig::default().commit_interval)?;
    log.register_consumer("nobody", 0);
    let stepping = thread::spawn(move || write(writer));
    let begun = Instant::now();
    while begun.elapsed() < TIME {
        match log.append_parts(KIND, 0, &[&RECORD]) {
            Ok(_) => {}
            // As a connection does: it leaves the processor to others.
            Err(AppendError::Full) => thread::sleep(Duration::from_micros(200)),
            Err(error) => return Err(error.into()),
        }
    }
    log.close();
    let all = stepping.join().map_err(|_| "the writer panicked")??;
    let rate = all.print("one thread, as fast as it can", begun.elapsed());
    let groups = all.groups.max(1);
    let floor = bare(
        directory,
        all.bytes / groups,
        all.records as f64 / groups as f64,
    )?;
    println!("  {:.0} % of it", 100.0 * rate / floor);
    let begun = Instant::now();
    let mut reader = log.reader(0)?;
    while !reader.read(10_000, 4 << 20)?.is_empty() {}
    let rate = reader.position() as f64 / begun.elapsed().as_secs_f64();
    println!("  read again: {:.1} million records/s", rate / 1e6);
    drop((log, reader));
    fs::remove_dir_all(path)?;
    Ok(())
}

/// As many tasks as there are connections; each waits for its record before it sends the next.
fn one_in_flight(directory: &Path, tasks: usize) -> Result<(), Failure> {
    let (log, writer) = open(
        &directory.join("in_flight"),
        LogConfig::default().commit_interval,
    )?;
    let stepping = thread::spawn(move || write(writer));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()?;
    let begun = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|_| {
            let log = log.clone();
            runtime.spawn(async move {
                while begun.elapsed() < TIME {
                    let number = log.append_parts(KIND, 0, &[&RECORD])?;
                    log.wait_durable(number + 1).await?;
                }
                Ok::<(), Failure>(())
            })
        })
        .collect();
    for task in running {
        runtime.block_on(task)??;
    }
    let time = begun.elapsed();
    log.close();
    let all = stepping.join().map_err(|_| "the writer panicked")??;
    let rate = all.print(&format!("{tasks} tasks, one record in flight each"), time);
    let groups = all.groups.max(1);
    let floor = bare(
        directory,
        all.bytes / groups,
        all.records as f64 / groups as f64,
    )?;
    println!(
        "  {:.0} % of it, which does not wait {:?} for others to join",
        100.0 * rate / floor,
        LogConfig::default().commit_interval
    );
    Ok(())
}

/// The latency of a record that comes alone, as between two terminals at night.
fn lone(directory: &Path) -> Result<(), Failure> {
    const COUNT: usize = 500;
    let (log, writer) = open(
        &directory.join("lone"),
        LogConfig::default().commit_interval,
    )?;
    let stepping = thread::spawn(move || write(writer));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let file = fs::File::create(directory.join("bare_lone"))?;
    let (mut with_log, mut without) = (Vec::new(), Vec::new());
    let mut at = 0;
    for _ in 0..COUNT {
        thread::sleep(Duration::from_millis(4));
        let begun = Instant::now();
        let number = log.append_parts(KIND, 0, &[&RECORD])?;
        runtime.block_on(log.wait_durable(number + 1))?;
        with_log.push(begun.elapsed());
        thread::sleep(Duration::from_millis(4));
        let begun = Instant::now();
        file.write_all_at(&RECORD, at)?;
        file.sync_data()?;
        without.push(begun.elapsed());
        at += RECORD.len() as u64;
    }
    log.close();
    stepping.join().map_err(|_| "the writer panicked")??;
    for (what, mut times) in [
        ("append and wait", with_log),
        ("  bare write and fdatasync", without),
    ] {
        times.sort_unstable();
        let at = |share: usize| times.get(COUNT * share / 100).copied().unwrap_or_default();
        println!("{what}, alone: p50 {:?}, p99 {:?}", at(50), at(99));
    }
    Ok(())
}
