//! Files as they were written once: intact, torn, damaged; and the zeros behind the last commit.

use super::*;

/// A log of two commits, as version 1 writes it: the first of three records in two blocks, the
/// second of one record.
fn two_commits() -> Vec<u8> {
    let (disk, log, mut writer) = open();
    for (kind, text) in [
        (1, "a position"),
        (2, ""),
        (3, "a longer position, to begin a new block. "),
    ] {
        let repeated = text.repeat(7);
        log.append_parts(RecordKind(kind), 1_700_000_000_000, &[repeated.as_bytes()])
            .unwrap();
    }
    sync(&mut writer);
    log.append_parts(RecordKind(1), -1, &[b"last"]).unwrap();
    sync(&mut writer);
    let mut content = disk
        .content(&segment::path(Path::new(DIRECTORY), 0))
        .unwrap();
    content.truncate(usize::try_from(log.status().bytes).unwrap());
    content
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures/log")
        .join(name)
}

/// Opens a log of this one segment.
fn open_segment(content: Vec<u8>) -> Result<(Log, LogWriter, Recovered), LogError> {
    let disk = FaultyDisk::new(0);
    disk.put(&segment::path(Path::new(DIRECTORY), 0), content);
    open_on(&disk)
}

#[test]
fn the_format_is_the_one_of_the_fixtures() {
    let whole = two_commits();
    let mut torn = whole.clone();
    torn.truncate(whole.len() - 3);
    let mut zeroed = torn.clone();
    zeroed.resize(4096, 0);
    let mut damaged = whole.clone();
    damaged[64 + 36 + 20] ^= 1;
    for (name, content) in [
        ("v1-two-commits.bin", &whole),
        ("v1-torn-tail.bin", &torn),
        ("v1-zeroed-tail.bin", &zeroed),
        ("v1-damaged-middle.bin", &damaged),
    ] {
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(fixture(name), content).unwrap();
        }
        assert_eq!(fs::read(fixture(name)).unwrap(), *content, "{name}");
    }
}

#[test]
fn a_log_of_version_1_is_read() {
    let (log, _writer, recovered) =
        open_segment(fs::read(fixture("v1-two-commits.bin")).unwrap()).unwrap();
    assert_eq!(log.id(), ID);
    assert_eq!(
        recovered,
        Recovered {
            records: 4,
            segments: 1,
            cut_bytes: 0
        }
    );
    let records = log.reader(0).unwrap().read(10, 10_000).unwrap();
    let kinds: Vec<_> = records
        .iter()
        .map(|record| (record.kind.0, record.payload.len()))
        .collect();
    assert_eq!(kinds, [(1, 70), (2, 0), (3, 287), (1, 4)]);
    assert_eq!(
        (records[0].received_at, records[3].received_at),
        (1_700_000_000_000, -1)
    );
    assert_eq!(records[3].payload, b"last"[..]);
}

#[test]
fn a_torn_or_zeroed_tail_is_cut() {
    let size = fs::read(fixture("v1-torn-tail.bin")).unwrap().len() as u64;
    for name in ["v1-torn-tail.bin", "v1-zeroed-tail.bin"] {
        let content = fs::read(fixture(name)).unwrap();
        let (log, mut writer, recovered) = open_segment(content).unwrap();
        assert_eq!(recovered.records, 3, "{name}");
        assert_eq!(recovered.cut_bytes, size - log.status().bytes, "{name}");
        assert_eq!(append(&log, b"more"), 3, "{name}");
        sync(&mut writer);
        assert_eq!(numbers(&mut log.reader(0).unwrap()), [0, 1, 2, 3], "{name}");
    }
}

#[test]
fn zeros_lie_ahead_and_are_nothing_that_was_lost() {
    let (disk, log, mut writer) = open();
    let path = segment::path(Path::new(DIRECTORY), 0);
    let size = || disk.content(&path).unwrap().len();
    append(&log, b"first");
    sync(&mut writer);
    let ahead = size();
    assert_eq!(ahead as u64, log.status().bytes + 300);
    append(&log, b"second");
    sync(&mut writer);
    assert_eq!(size(), ahead, "it has its place");
    // A crash leaves the zeros; the end of the writer does not.
    let crashed = disk.content(&path).unwrap();
    let bytes = log.status().bytes;
    let survey = survey(&disk, Path::new(DIRECTORY), Depth::Whole, &mut |_| Ok(())).unwrap();
    assert_eq!((survey.records(), survey.faults), (2, vec![]));
    drop(writer);
    assert_eq!(size() as u64, bytes);
    let (log, _writer, recovered) = open_segment(crashed).unwrap();
    assert_eq!((recovered.records, recovered.cut_bytes), (2, 0));
    assert_eq!(log.status().bytes, bytes);
}

#[test]
fn damage_in_the_middle_is_refused_with_its_place() {
    let content = fs::read(fixture("v1-damaged-middle.bin")).unwrap();
    let error = open_segment(content).unwrap_err();
    assert_eq!(error.reason(), "damaged");
    let message = error.to_string();
    let place = "/data/log/00000000000000000000.log: damaged at byte 64: ";
    assert!(message.starts_with(place), "{message}");
}

#[test]
fn a_torn_write_whose_later_blocks_are_there_is_no_damage() {
    let mut content = two_commits();
    // Only the first commit, of two blocks; the first of them did not get to the disk.
    content.truncate(content.len() - 36 - 13 - 4);
    content[64..164].fill(0);
    let (log, _writer, recovered) = open_segment(content).unwrap();
    assert_eq!((log.status().next, recovered.records), (0, 0));
}
