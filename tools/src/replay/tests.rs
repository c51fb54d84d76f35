use std::{fs, io::Cursor};

use time::UtcOffset;

use super::*;
use crate::{
    test_server::{TestServer, Whims},
    wire::{Phone, Revision, frame, from_hex, hex},
};

async fn replay(server: &TestServer, lines: &str) -> (Vec<FrameOutcome>, Summary) {
    let config = ReplayConfig::new(server.target());
    let mut outcomes = Vec::new();
    let frames = read_frames(Cursor::new(lines.to_owned()), None);
    let summary = replay_frames(&config, frames, |told| outcomes.push(told.clone()))
        .await
        .unwrap();
    (outcomes, summary)
}

fn results(outcomes: &[FrameOutcome]) -> Vec<Option<u8>> {
    outcomes
        .iter()
        .map(|told| match told.outcome {
            Outcome::Answered { result, .. } => Some(result),
            _ => None,
        })
        .collect()
}

/// A frame with an empty location body.
fn report(phone: &str, serial: u16) -> String {
    let phone = Phone::from_bytes(&from_hex(phone).unwrap()).unwrap();
    hex(&frame(0x0200, &phone, serial, &[0; 28]).unwrap())
}

#[tokio::test]
async fn each_terminal_logs_in_under_its_own_phone_bytes_and_its_frames_arrive_unchanged() {
    let server = TestServer::start(Whims::default());
    let phones = ["013811112222", "4f07788ef676", "00000000100100000000"];
    let lines: Vec<String> = phones
        .iter()
        .chain(&phones)
        .map(|phone| report(phone, 0x7E01))
        .collect();
    let (outcomes, summary) = replay(&server, &lines.join("\n")).await;
    assert_eq!(results(&outcomes), [Some(0); 6]);
    assert_eq!((summary.unexpected, summary.connections), (0, 3));
    let seen = server.seen.lock().unwrap();
    let arrived: Vec<String> = seen.frames.iter().map(|f| f.phone.raw_hex()).collect();
    assert_eq!(arrived, [phones, phones].concat());
    assert!(
        seen.frames
            .iter()
            .all(|f| f.serial == 0x7E01 && f.body == [0; 28])
    );
    let lengths: Vec<usize> = seen
        .registrations
        .iter()
        .map(|(_, body)| body.len())
        .collect();
    assert_eq!(
        lengths,
        [37, 37, 76],
        "the layout follows the header's form"
    );
}

#[tokio::test]
async fn log_in_frames_are_sent_as_they_are_and_do_not_stop_what_follows() {
    let server = TestServer::start(Whims::default());
    let phone = Phone::from_digits("13811112222", Revision::V2013).unwrap();
    let lines = [
        hex(&frame(0x0100, &phone, 5, &[0; 37]).unwrap()),
        hex(&frame(0x0102, &phone, 6, b"foreign").unwrap()),
        report("013811112222", 7),
        hex(&frame(0x0003, &phone, 8, &[]).unwrap()),
        report("013811112222", 9),
        hex(&frame(0x0102, &phone, 10, b"foreign").unwrap()),
        report("013811112222", 11),
        hex(&frame(0x0900, &phone, 12, &[1, 2]).unwrap()),
    ];
    let (outcomes, summary) = replay(&server, &lines.join("\n")).await;
    let expected = [
        Some(0),
        Some(1),
        Some(0),
        Some(0),
        Some(0),
        Some(1),
        Some(0),
        Some(3),
    ];
    assert_eq!(results(&outcomes), expected);
    assert_eq!((summary.unexpected, summary.connections), (0, 1));
    assert_eq!(
        outcomes[0].outcome,
        Outcome::Answered {
            answer_id: 0x8100,
            result: 0
        }
    );
    let seen = server.seen.lock().unwrap();
    assert_eq!(
        seen.registrations,
        [("13811112222".to_owned(), vec![0; 37])]
    );
    assert_eq!(seen.refused_codes, 2);
}

#[tokio::test]
async fn damaged_frames_get_no_answer_and_the_connection_lives() {
    let server = TestServer::start(Whims::default());
    let good = report("013811112222", 1);
    let mut bad = from_hex(&good).unwrap();
    bad[20] ^= 0x01;
    let lines = format!(
        "# comment\n{}\n\n{good}\n{}\n00ff\n{good}\n",
        hex(&bad),
        hex(&bad)
    );
    let (outcomes, summary) = replay(&server, &lines).await;
    assert_eq!(results(&outcomes), [None, Some(0), None, None, Some(0)]);
    assert_eq!(
        (summary.unexpected, summary.no_answer, summary.closed),
        (0, 3, 0)
    );
    assert_eq!(outcomes[0].name, "line 2");
    assert_eq!(
        serde_json::to_string(&outcomes[1]).unwrap(),
        "{\"name\":\"line 4\",\"message_id\":\"0x0200\",\"phone\":\"13811112222\",\"serial\":1,\
         \"outcome\":\"answered\",\"answer_id\":\"0x8001\",\"result\":0,\"is_as_expected\":true}"
    );
}

#[tokio::test]
async fn a_report_under_the_number_zero_is_refused_as_it_should_be() {
    let server = TestServer::start(Whims::default());
    let (outcomes, summary) = replay(&server, &report("000000000000", 1)).await;
    assert_eq!((results(&outcomes), summary.unexpected), (vec![Some(1)], 0));
}

#[tokio::test]
async fn a_gateway_that_hangs_up_is_told_about_and_connected_to_again() {
    let server = TestServer::start(Whims {
        hangs_up_every: 2,
        ..Whims::default()
    });
    let lines: Vec<String> = (0..3)
        .map(|serial| report("013811112222", serial))
        .collect();
    let (outcomes, summary) = replay(&server, &lines.join("\n")).await;
    assert_eq!(results(&outcomes), [Some(0), None, Some(0)]);
    assert_eq!(
        (summary.closed, summary.unexpected, summary.connections),
        (1, 1, 2)
    );
}

#[test]
fn of_a_corpus_only_what_was_asked_for_is_taken() {
    let corpus = concat!(
        "{\"id\":\"a\",\"hex\":\"7e00\",\"origin\":\"device\",\"direction\":\"up\",",
        "\"revision\":\"2019\"}\n",
        "{\"id\":\"b\",\"hex\":\"7e01\",\"origin\":\"test\",\"direction\":\"up\"}\n",
        "{\"id\":\"c\",\"hex\":\"7e02\",\"origin\":\"device\",\"direction\":\"down\"}\n",
        "{\"id\":\"d\",\"hex\":\"7e03\",\"origin\":\"device\",\"quirk\":\"odd\"}\n",
    );
    let frames: Vec<RecordedFrame> = read_frames(Cursor::new(corpus), Some("device"))
        .collect::<Result<_, _>>()
        .unwrap();
    let names: Vec<&str> = frames.iter().map(|frame| frame.name.as_str()).collect();
    assert_eq!(names, ["a", "d"]);
    assert_eq!(
        (frames[0].revision, frames[0].is_odd),
        (Some(Revision::V2019), false)
    );
    assert!(frames[1].is_odd);
}

#[test]
fn a_line_that_is_no_frame_is_named() {
    let mut frames = read_frames(Cursor::new("7e00\nhello\n"), None);
    assert!(frames.next().unwrap().is_ok());
    assert!(matches!(
        frames.next().unwrap(),
        Err(LineError::Format { line: 2 })
    ));
}

const TRACK: &str = "\
\"id\",\"vehicle_id\",\"timestamp\",\"latitude\",\"longitude\",\"bearing\"
2,\"4716\",\"2026-01-26 15:58:06\",37.871,112.55,
1,\"4716\",\"2026-01-26 15:57:06.9\",37.870,112.55,53
3,\"9\",\"2026-01-26T16:00:00+00:00\",-37.5,-112.5,
";

#[test]
fn a_track_is_read_by_column_names_and_its_gaps_are_filled() {
    let zone = UtcOffset::from_hms(8, 0, 0).unwrap();
    let fixes = read_track(TRACK.as_bytes(), zone).unwrap();
    let at = |fix: &Fix| crate::output::rfc3339(fix.fixed_at);
    assert_eq!(at(&fixes[0]), "2026-01-26T07:57:06Z");
    assert_eq!((fixes[0].heading_deg, fixes[0].speed_dkmh), (53, 0));
    // A thousandth of a degree north, 111.2 m, in a minute: 6.7 km/h.
    assert_eq!((fixes[1].heading_deg, fixes[1].speed_dkmh), (0, 67));
    assert_eq!(
        (at(&fixes[2]), fixes[2].latitude),
        ("2026-01-26T16:00:00Z".into(), -37_500_000)
    );
}

#[test]
fn mistakes_in_a_track_are_named_with_their_place() {
    let zone = UtcOffset::UTC;
    let without = read_track("time,lat\n".as_bytes(), zone).unwrap_err();
    assert!(matches!(without, TrackError::NoColumn { .. }));
    let text = "time,lat,lon\n2026-01-26 15:57:06,91,0\n";
    let beyond = read_track(text.as_bytes(), zone).unwrap_err();
    assert_eq!(beyond.to_string(), "line 2: latitude `91` is not readable");
}

#[tokio::test]
async fn a_track_arrives_whole_shifted_to_now_one_terminal_for_each_vehicle() {
    let server = TestServer::start(Whims::default());
    let fixes = read_track(TRACK.as_bytes(), UtcOffset::UTC).unwrap();
    let options = TrackOptions {
        phone: "013900000009".to_owned(),
        revision: Revision::V2019,
        pace: Pace::Max,
        shift_to_now: true,
        in_flight: 4,
    };
    let config = ReplayConfig::new(server.target());
    let mut told = Vec::new();
    let summary = replay_track(&config, &options, &fixes, |fix| told.push(fix.clone()))
        .await
        .unwrap();
    assert_eq!(
        (summary.sent, summary.unexpected, summary.connections),
        (3, 0, 2)
    );
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.reports["13900000009"].len(), 2);
    let south_west = &seen.reports["13900000010"][0];
    assert_eq!(south_west[7] & 0b1100, 0b1100);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let shift = i64::try_from(now.as_secs()).unwrap() - fixes[2].fixed_at;
    let shifted = |fix: &Fix, seconds: i64| crate::wire::bcd_time(fix.fixed_at + shift - seconds);
    assert!((0..60).any(|seconds| south_west[22..28] == shifted(&fixes[2], seconds)));
}

#[tokio::test]
async fn the_frames_of_a_file_come_through_the_command_line_s_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames.txt");
    fs::write(&path, report("013811112222", 3).to_uppercase()).unwrap();
    let server = TestServer::start(Whims::default());
    let input = std::io::BufReader::new(fs::File::open(&path).unwrap());
    let config = ReplayConfig::new(server.target());
    let summary = replay_frames(&config, read_frames(input, None), |_| ())
        .await
        .unwrap();
    assert_eq!((summary.sent, summary.results.get(&0)), (1, Some(&1)));
}
