//! What a crash or an error leaves behind.

use super::*;

#[test]
fn a_crash_before_the_rename_leaves_nothing() {
    let bench = Bench::new(MediaLimits::default());
    let mut writer = bench.store.begin(picture(1), 100).unwrap();
    writer.write_at(0, b"half").unwrap();
    // The process is gone: its destructors do not run.
    let incoming = bench.files();
    assert_eq!(incoming.len(), 1);
    fs::copy(&incoming[0], incoming[0].with_extension("left")).unwrap();
    drop(writer);
    assert_eq!(bench.files().len(), 1);
    let bench = bench.reopened(MediaLimits::default());
    assert_eq!(bench.files(), Vec::<PathBuf>::new());
}

#[test]
fn a_crash_between_the_rename_and_the_row_leaves_nothing() {
    let bench = Bench::new(MediaLimits::default());
    let kept = bench.add(picture(1), JPEG).media.id;
    let root = bench.root();
    let name = names::FileName::new(Timestamp(NOON), MediaKind::Png).unwrap();
    let (temporary, _) = files::create_incoming(&root).unwrap();
    let mut inner = bench.store.shared.inner.lock();
    inner
        .write(|connection| index::note_unsettled(connection, &name))
        .unwrap();
    drop(inner);
    files::put_in_place(&root, &temporary, &name).unwrap();
    assert_eq!(bench.files().len(), 2);
    let bench = bench.reopened(MediaLimits::default());
    assert_eq!(bench.files().len(), 1);
    assert_eq!(bench.content(kept), JPEG);
}

#[test]
fn a_crash_between_a_removal_and_its_file_removes_the_file_at_the_next_start() {
    let bench = Bench::new(MediaLimits::default());
    bench.add(picture(1), JPEG);
    let mut inner = bench.store.shared.inner.lock();
    let doomed = index::oldest(&inner.connection, 1).unwrap();
    inner
        .write(|connection| index::delete(connection, &doomed))
        .unwrap();
    drop(inner);
    assert_eq!(bench.files().len(), 1);
    let bench = bench.reopened(MediaLimits::default());
    assert_eq!(bench.files(), Vec::<PathBuf>::new());
    assert_eq!(bench.store.totals(), MediaTotals::default());
}

#[test]
fn an_error_half_way_is_mended_by_the_next_call() {
    let bench = Bench::new(MediaLimits::default());
    let mut writer = bench.store.begin(picture(1), 4).unwrap();
    writer.write_at(0, b"abcd").unwrap();
    // A file stands where the directory of the month should be.
    let month = bench.root().join("2025-11");
    fs::write(&month, b"").unwrap();
    assert_eq!(writer.finish().unwrap_err().reason(), "file");
    assert_eq!(bench.store.totals().reserved_bytes, 0);
    fs::remove_file(&month).unwrap();
    let id = bench.add(picture(1), b"abcd").media.id;
    assert_eq!(bench.content(id), b"abcd");
    let inner = bench.store.shared.inner.lock();
    assert_eq!(index::unsettled(&inner.connection).unwrap(), []);
    assert!(!inner.is_unsettled);
}

#[test]
fn a_second_process_is_kept_out() {
    let bench = Bench::new(MediaLimits::default());
    let error = MediaStore::open(&bench.root(), MediaLimits::default()).unwrap_err();
    assert_eq!(error.reason(), "file");
    assert!(error.to_string().starts_with("lock "), "{error}");
}

#[test]
fn a_row_that_somebody_changed_leads_to_no_other_file() {
    let bench = Bench::new(MediaLimits::default());
    let id = bench.add(picture(1), JPEG).media.id;
    Connection::open(bench.root().join("media.sqlite"))
        .unwrap()
        .execute("UPDATE media SET file = '../../etc/passwd'", [])
        .unwrap();
    assert_eq!(bench.store.open_file(id).unwrap_err().reason(), "unusable");
}
