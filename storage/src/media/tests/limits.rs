//! What is refused, and what has to go.

use super::*;

#[test]
fn what_may_not_be_stored_is_refused_with_its_reason() {
    let bench = Bench::new(MediaLimits {
        file_bytes_max: 100,
        writers_max: 1,
        ..MediaLimits::default()
    });
    assert_eq!(bench.refusal(picture(1), &[0; 101]), "file_too_large");
    assert_eq!(bench.refusal(picture(1), &[]), "empty");
    for alarm_number in ["", "a b", "报警", &"a".repeat(33)] {
        let new = NewMedia {
            alarm_number: Some(alarm_number.into()),
            ..picture(1)
        };
        assert_eq!(bench.refusal(new, JPEG), "wrong_field", "{alarm_number:?}");
    }
    let labels = ["{".to_owned(), format!("{:?}", "x".repeat(5_000))];
    for label in labels {
        let new = NewMedia {
            label: Some(label),
            ..picture(1)
        };
        assert_eq!(bench.refusal(new, JPEG), "wrong_field");
    }
    let new = NewMedia {
        received_at: Timestamp(i64::MIN),
        ..picture(1)
    };
    assert_eq!(bench.refusal(new, JPEG), "wrong_field");
    let held = bench.store.begin(picture(1), 1).unwrap();
    assert_eq!(bench.refusal(picture(2), JPEG), "too_many_writers");
    drop(held);
    bench.add(picture(2), JPEG);
    assert_eq!(bench.files().len(), 1);
}

#[test]
fn a_terminal_has_its_share_of_a_day_and_no_more() {
    let limits = MediaLimits {
        terminal_day_bytes_max: 3 * BLOCK,
        stored_bytes_max: 2 * BLOCK,
        ..MediaLimits::default()
    };
    let bench = Bench::new(limits.clone());
    for n in 0..3 {
        bench.add(picture(n), JPEG);
    }
    // What was driven out counts too, also after a restart.
    let bench = bench.reopened(limits);
    assert_eq!(bench.refusal(picture(3), JPEG), "terminal_quota");
    bench.add(of("1", 3), JPEG);
    let tomorrow = NewMedia {
        received_at: Timestamp(NOON + 12 * 3_600_000),
        ..picture(3)
    };
    bench.add(tomorrow, JPEG);
    // What is on its way counts as well.
    let bench = bench.reopened(MediaLimits {
        terminal_day_bytes_max: 3 * BLOCK,
        ..MediaLimits::default()
    });
    let declared = u32::try_from(3 * BLOCK).unwrap();
    let mut writer = bench.store.begin(of("2", 1), declared).unwrap();
    writer.write_at(0, &[1; 5_000]).unwrap();
    assert_eq!(bench.refusal(of("2", 2), &[0; 8_000]), "terminal_quota");
    drop(writer);
    bench.add(of("2", 2), &[0; 8_000]);
}

#[test]
fn the_oldest_go_first_when_all_together_are_too_large() {
    let bench = Bench::new(MediaLimits {
        stored_bytes_max: 4 * BLOCK,
        ..MediaLimits::default()
    });
    let ids: Vec<_> = (0..3)
        .map(|n| bench.add(picture(n), JPEG).media.id)
        .collect();
    let (_, mut held) = bench.store.open_file(ids[0]).unwrap().unwrap();
    let stored = bench.add(of("1", 1), &[7; 8_000]);
    assert_eq!(
        stored.removed,
        Removed {
            files: 1,
            bytes: BLOCK
        }
    );
    assert_eq!(bench.store.get(ids[0]).unwrap(), None);
    assert_eq!(bench.content(ids[1]), JPEG);
    assert_eq!(bench.files().len(), 3);
    assert_eq!(bench.store.totals().evicted, stored.removed);
    let mut content = Vec::new();
    held.read_to_end(&mut content).unwrap();
    assert_eq!(content, JPEG, "who has it open still reads it");
    assert_eq!(
        bench.refusal(of("1", 2), &[0; 5 * 4_096]),
        "store_full",
        "it would not fit into an empty store"
    );
    assert_eq!(bench.files().len(), 3);
}

#[test]
fn a_size_that_is_only_said_drives_nothing_out() {
    let bench = Bench::new(MediaLimits {
        stored_bytes_max: 8 << 20,
        ..MediaLimits::default()
    });
    bench.add(picture(1), JPEG);
    let writers: Vec<_> = (0..4)
        .map(|n| bench.store.begin(picture(10 + n), 8 << 20).unwrap())
        .collect();
    assert_eq!(bench.store.totals().evicted.files, 0);
    assert_eq!(bench.store.totals().writers, 4);
    drop(writers);
    assert_eq!(bench.files().len(), 1, "temporary files went with them");
}

#[test]
fn when_others_fill_the_disk_the_oldest_make_room() {
    let bench = Bench::new(MediaLimits {
        free_bytes_min: 100 * BLOCK,
        ..MediaLimits::default()
    });
    for n in 0..5 {
        bench.add(picture(n), JPEG);
    }
    assert_eq!(bench.store.keep_space().unwrap(), Removed::default());
    bench.available.store(98 * BLOCK, Ordering::Relaxed);
    assert_eq!(bench.store.keep_space().unwrap().files, 2);
    // No space came back: the rest of what is missing goes, then it is refused.
    assert_eq!(bench.refusal(picture(9), JPEG), "disk_full");
    assert_eq!(bench.store.totals().files, 0);
    assert_eq!(bench.store.totals().evicted.files, 5);
    assert_eq!(bench.store.totals().reserved_bytes, 0);
    bench.available.store(1 << 40, Ordering::Relaxed);
    bench.add(picture(9), JPEG);
}
