//! The store in a directory of its own, on a disk that pretends to have so much space.

mod crashes;
mod limits;

use std::{
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicU64, Ordering},
};

use tempfile::TempDir;

use super::*;

const NOON: i64 = 1_764_072_000_000; // 2025-11-25T12:00:00Z
const BLOCK: u64 = 4_096;

struct Bench {
    store: MediaStore,
    available: Arc<AtomicU64>,
    directory: TempDir,
}

impl Bench {
    fn new(limits: MediaLimits) -> Self {
        Self::open(tempfile::tempdir().unwrap(), limits)
    }

    fn open(directory: TempDir, limits: MediaLimits) -> Self {
        let available = Arc::new(AtomicU64::new(1 << 40));
        let asked = Arc::clone(&available);
        let space = Space(Box::new(move |_| Ok(asked.load(Ordering::Relaxed))));
        let root = directory.path().join("media");
        Self {
            store: MediaStore::open_with(&root, limits, space).unwrap(),
            available,
            directory,
        }
    }

    /// As after a crash: what the disk has is all there is.
    fn reopened(self, limits: MediaLimits) -> Self {
        let Self {
            store, directory, ..
        } = self;
        drop(store);
        Self::open(directory, limits)
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("media")
    }

    /// Every media file below the directory, finished or not.
    fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.root(), &mut found);
        found.retain(|path| path.parent() != Some(self.root().as_path()));
        found
    }

    fn add(&self, new: NewMedia, content: &[u8]) -> Stored {
        self.store.add(new, content).unwrap()
    }

    fn content(&self, id: MediaId) -> Vec<u8> {
        let (_, mut file) = self.store.open_file(id).unwrap().unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        content
    }

    fn refusal(&self, new: NewMedia, content: &[u8]) -> &'static str {
        match self.store.add(new, content).unwrap_err() {
            MediaError::Refused(refusal) => refusal.reason(),
            other => panic!("{other}"),
        }
    }
}

fn picture(media_id: u32) -> NewMedia {
    NewMedia {
        terminal: "13800138000".parse().unwrap(),
        received_at: Timestamp(NOON),
        taken_at: Some(Timestamp(NOON - 5_000)),
        media_id,
        media_type: 0,
        format: 0,
        event: 1,
        channel: 2,
        latitude: Latitude::from_degrees(37.87),
        longitude: Longitude::from_degrees(112.55),
        is_complete: true,
        source: MediaSource::Multimedia,
        alarm_number: None,
        original_name: None,
        label: None,
    }
}

fn of(terminal: &str, media_id: u32) -> NewMedia {
    NewMedia {
        terminal: terminal.parse().unwrap(),
        ..picture(media_id)
    }
}

const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0 a picture";

#[test]
fn a_picture_is_there_after_opening_again_with_all_that_is_known_of_it() {
    let bench = Bench::new(MediaLimits::default());
    let new = NewMedia {
        alarm_number: Some("a".repeat(32)),
        original_name: Some("00_64_6401_1_x.jpg".into()),
        label: Some(r#"{"sequence":3}"#.into()),
        source: MediaSource::AlarmAttachment,
        ..picture(7)
    };
    let stored = bench.add(new.clone(), JPEG);
    assert_eq!(stored.outcome, Outcome::Added);
    assert_eq!(stored.media.facts, new);
    assert_eq!(stored.media.at, Timestamp(NOON - 5_000));
    assert_eq!(stored.media.kind, MediaKind::Jpeg);
    assert_eq!(stored.media.bytes, JPEG.len() as u64);
    let bench = bench.reopened(MediaLimits::default());
    let id = stored.media.id;
    assert_eq!(bench.store.get(id).unwrap(), Some(stored.media));
    assert_eq!(bench.content(id), JPEG);
    let totals = bench.store.totals();
    assert_eq!((totals.files, totals.bytes), (1, BLOCK));
    assert_eq!((totals.writers, totals.reserved_bytes), (0, 0));
    let unknown = MediaId(Uuid::from_u128(1));
    assert!(bench.store.open_file(unknown).unwrap().is_none());
}

#[test]
fn files_have_names_of_ours_and_are_nobody_elses_business() {
    let bench = Bench::new(MediaLimits::default());
    for (n, name) in [
        "../../../../tmp/owned.jpg",
        "/etc/passwd",
        "a\0b.jpg",
        "..",
        "x/y\\z\r\nSet-Cookie: a=b",
    ]
    .into_iter()
    .enumerate()
    {
        let new = NewMedia {
            original_name: Some(name.into()),
            ..picture(u32::try_from(n).unwrap())
        };
        let shown = bench.add(new, JPEG).media.facts.original_name.unwrap();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
    }
    let files = bench.files();
    assert_eq!(files.len(), 5);
    let day = bench.root().join("2025-11/25");
    for file in files {
        assert_eq!(file.parent(), Some(day.as_path()));
        assert_eq!(file.extension().unwrap(), "jpg");
        let stem = file.file_stem().unwrap().to_str().unwrap();
        assert!(stem.parse::<Uuid>().is_ok(), "{stem}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(&day), 0o700);
        assert_eq!(mode(&bench.root()), 0o700);
    }
    let beside: Vec<_> = fs::read_dir(bench.directory.path()).unwrap().collect();
    assert_eq!(beside.len(), 1, "nothing but the store's own directory");
}

#[test]
fn the_extension_follows_the_content_and_not_the_name_or_format() {
    let bench = Bench::new(MediaLimits::default());
    let new = NewMedia {
        original_name: Some("x.jpg".into()),
        ..picture(1)
    };
    let stored = bench.add(new, b"<html><script>alert(1)</script>");
    assert_eq!(stored.media.kind.content_type(), "application/octet-stream");
    assert_eq!(bench.files()[0].extension().unwrap(), "bin");
}

#[test]
fn pieces_in_any_order_make_the_file_and_gaps_are_named() {
    let bench = Bench::new(MediaLimits::default());
    let mut writer = bench.store.begin(picture(1), 10).unwrap();
    assert_eq!(writer.gaps(255), [(0, 10)]);
    writer.write_at(7, b"hij").unwrap();
    writer.write_at(2, b"cd").unwrap();
    assert_eq!(writer.gaps(255), [(0, 2), (4, 3)]);
    assert_eq!(writer.gaps(1), [(0, 2)]);
    writer.write_at(0, b"abcdefg").unwrap();
    assert_eq!(writer.gaps(255), []);
    assert_eq!((writer.bytes_received(), writer.bytes()), (10, 10));
    for (offset, piece) in [(8, &b"ijk"[..]), (u32::MAX, b"a"), (11, b"")] {
        let error = writer.write_at(offset, piece).unwrap_err();
        assert_eq!(error.reason(), "outside_file");
    }
    let stored = writer.finish().unwrap();
    assert!(stored.media.facts.is_complete);
    assert_eq!(bench.content(stored.media.id), b"abcdefghij");
}

#[test]
fn a_file_with_holes_is_stored_as_incomplete_up_to_its_last_byte() {
    let bench = Bench::new(MediaLimits::default());
    let mut writer = bench.store.begin(picture(1), 10).unwrap();
    writer.write_at(0, b"ab").unwrap();
    writer.write_at(4, b"ef").unwrap();
    let stored = writer.finish().unwrap();
    assert!(!stored.media.facts.is_complete);
    assert_eq!(stored.media.bytes, 6);
    assert_eq!(bench.content(stored.media.id), b"ab\0\0ef");
    let writer = bench.store.begin(picture(2), 10).unwrap();
    assert_eq!(writer.finish().unwrap_err().reason(), "empty");
}

#[test]
fn what_a_failed_write_left_behind_the_end_is_cut_off() {
    let bench = Bench::new(MediaLimits::default());
    let mut writer = bench.store.begin(picture(1), 10).unwrap();
    writer.write_at(0, b"ab").unwrap();
    fs::write(&bench.files()[0], b"abcde").unwrap();
    let stored = writer.finish().unwrap();
    assert_eq!(bench.content(stored.media.id), b"ab");
    let other = bench.add(picture(2), b"ab");
    assert_eq!(other.media.sha256, stored.media.sha256);
}

#[test]
fn a_size_that_is_said_later_holds() {
    let bench = Bench::new(MediaLimits {
        file_bytes_max: 100,
        terminal_day_bytes_max: 3 * BLOCK,
        ..MediaLimits::default()
    });
    let mut writer = bench.store.begin(picture(1), 4).unwrap();
    writer.write_at(0, b"abcd").unwrap();
    writer.set_bytes(6).unwrap();
    assert_eq!(writer.gaps(9), [(4, 2)]);
    writer.write_at(3, b"DEF").unwrap();
    writer.set_bytes(5).unwrap();
    writer.set_bytes(7).unwrap();
    assert_eq!(writer.gaps(9), [(5, 2)]);
    writer.write_at(6, b"g").unwrap();
    assert_eq!(
        writer.set_bytes(101).unwrap_err().reason(),
        "file_too_large"
    );
    assert_eq!(writer.set_bytes(0).unwrap_err().reason(), "empty");
    let stored = writer.finish().unwrap();
    assert!(!stored.media.facts.is_complete);
    assert_eq!(bench.content(stored.media.id), b"abcDE\0g");
}

#[test]
fn a_file_that_is_too_ragged_is_refused_a_piece_and_not_its_end() {
    let bench = Bench::new(MediaLimits {
        ranges_max: 2,
        ..MediaLimits::default()
    });
    let mut writer = bench.store.begin(picture(1), 10).unwrap();
    writer.write_at(0, b"a").unwrap();
    writer.write_at(4, b"e").unwrap();
    let error = writer.write_at(8, b"i").unwrap_err();
    assert_eq!(error.reason(), "too_many_ranges");
    writer.write_at(1, b"bcd").unwrap();
    writer.write_at(8, b"i").unwrap();
    assert_eq!(writer.gaps(9), [(5, 3), (9, 1)]);
}

#[test]
fn the_same_again_is_the_one_that_is_there() {
    let bench = Bench::new(MediaLimits::default());
    let first = bench.add(picture(1), JPEG);
    let again = NewMedia {
        received_at: Timestamp(NOON + 60_000),
        ..picture(1)
    };
    let second = bench.add(again, JPEG);
    assert_eq!(second.outcome, Outcome::Duplicate);
    assert_eq!(second.media, first.media);
    assert_eq!(bench.files().len(), 1);
    // Another content, channel, time or terminal is another medium.
    assert_eq!(bench.add(picture(1), b"other").outcome, Outcome::Added);
    let channel = NewMedia {
        channel: 3,
        ..picture(1)
    };
    assert_eq!(bench.add(channel, JPEG).outcome, Outcome::Added);
    assert_eq!(bench.add(of("1", 1), JPEG).outcome, Outcome::Added);
    assert_eq!(bench.store.totals().files, 4);
}

#[test]
fn a_complete_one_takes_the_place_of_an_incomplete_one_and_never_the_reverse() {
    let bench = Bench::new(MediaLimits::default());
    let incomplete = || NewMedia {
        is_complete: false,
        ..picture(1)
    };
    let big = vec![7; 9_000];
    let first = bench.add(incomplete(), &big[..10]);
    let more = bench.add(incomplete(), &big[..11]);
    assert_eq!(more.outcome, Outcome::Completed);
    let more = bench.add(incomplete(), &big[..5_000]);
    assert_eq!(more.outcome, Outcome::Completed);
    let less = bench.add(incomplete(), &big[..20]);
    assert_eq!(less.outcome, Outcome::Duplicate);
    assert_eq!(less.media.bytes, 5_000);
    let whole = bench.add(picture(1), &big);
    assert_eq!(whole.outcome, Outcome::Completed);
    assert_eq!(whole.media.id, first.media.id, "links to it stay");
    assert!(whole.media.facts.is_complete);
    let late = bench.add(incomplete(), &big[..8_000]);
    assert_eq!(late.outcome, Outcome::Duplicate);
    assert_eq!(bench.files().len(), 1);
    assert_eq!(bench.content(first.media.id), big);
    assert_eq!(bench.store.totals().bytes, 3 * BLOCK);
    let bench = bench.reopened(MediaLimits::default());
    assert_eq!(bench.store.get(first.media.id).unwrap(), Some(whole.media));
}

#[test]
fn without_a_time_an_incomplete_one_is_not_taken_for_another_picture() {
    let bench = Bench::new(MediaLimits::default());
    let timeless = |is_complete| NewMedia {
        taken_at: None,
        is_complete,
        ..picture(0)
    };
    bench.add(timeless(false), b"the top of one picture");
    let other = bench.add(timeless(true), JPEG);
    assert_eq!(other.outcome, Outcome::Added);
    assert_eq!(other.media.at, Timestamp(NOON));
    assert_eq!(bench.add(timeless(true), JPEG).outcome, Outcome::Duplicate);
    assert_eq!(bench.files().len(), 2);
}

#[test]
fn attachments_of_one_alarm_are_told_apart_by_their_names() {
    let bench = Bench::new(MediaLimits::default());
    let attachment = |name: &str| NewMedia {
        source: MediaSource::AlarmAttachment,
        alarm_number: Some("42".into()),
        original_name: Some(name.into()),
        ..picture(0)
    };
    bench.add(attachment("a.jpg"), JPEG);
    bench.add(attachment("b.jpg"), JPEG);
    bench.add(attachment("b.jpg"), JPEG);
    bench.add(picture(0), JPEG);
    let query = MediaQuery {
        alarm_number: Some("42".into()),
        limit: 9,
        ..MediaQuery::default()
    };
    let names: Vec<_> = bench.store.list(&query).unwrap();
    let names: Vec<_> = names
        .iter()
        .map(|media| media.facts.original_name.as_deref().unwrap())
        .collect();
    assert_eq!(names, ["b.jpg", "a.jpg"]);
}

#[test]
fn what_is_old_is_deleted_with_its_directories() {
    let bench = Bench::new(MediaLimits::default());
    let on_day = |n: u32, day: i64| NewMedia {
        received_at: Timestamp(NOON - day * 86_400_000),
        ..picture(n)
    };
    for n in 0..300 {
        bench.add(on_day(n, 40), JPEG);
    }
    let kept = bench.add(on_day(900, 1), JPEG).media.id;
    let removed = bench
        .store
        .delete_older_than(Timestamp(NOON - 86_400_000))
        .unwrap();
    assert_eq!(removed.files, 300, "more than one batch");
    assert_eq!(bench.files().len(), 1);
    assert_eq!(bench.content(kept), JPEG);
    assert!(!bench.root().join("2025-10").exists());
    assert_eq!(bench.store.totals().files, 1);
    assert_eq!(bench.store.totals().evicted, Removed::default());
}

#[test]
fn lists_are_paged_newest_first_by_when_it_was_taken() {
    let bench = Bench::new(MediaLimits::default());
    for n in 0..6 {
        let terminal = if n % 2 == 0 { "1" } else { "2" };
        let taken_at = Some(Timestamp(NOON - i64::from(n / 2) * 1_000));
        bench.add(
            NewMedia {
                taken_at,
                ..of(terminal, n)
            },
            JPEG,
        );
    }
    // A clock that is years ahead does not stay on top for ever.
    let ahead = NewMedia {
        taken_at: Some(Timestamp(NOON * 2)),
        received_at: Timestamp(NOON - 10_000),
        ..of("1", 6)
    };
    bench.add(ahead, JPEG);
    let ids = |query: &MediaQuery| -> Vec<u32> {
        let page = bench.store.list(query).unwrap();
        page.iter().map(|media| media.facts.media_id).collect()
    };
    let mut query = MediaQuery {
        limit: 3,
        ..MediaQuery::default()
    };
    let mut found = Vec::new();
    loop {
        found.extend(ids(&query));
        let page = bench.store.list(&query).unwrap();
        let Some(last) = page.last() else { break };
        query.before = Some((last.at, last.number));
    }
    assert_eq!(found, [1, 0, 3, 2, 5, 4, 6]);
    let query = MediaQuery {
        terminal: Some("1".parse().unwrap()),
        from: Some(Timestamp(NOON - 2_000)),
        to: Some(Timestamp(NOON)),
        limit: 10,
        ..MediaQuery::default()
    };
    assert_eq!(ids(&query), [2, 4]);
}
