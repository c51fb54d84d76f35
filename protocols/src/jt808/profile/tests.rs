use super::*;
use crate::{
    hex,
    jt808::{
        Revision,
        message::{Body as _, location_report::items::Items},
    },
    wire::Reader,
};

mod items;

fn own(text: &str) -> Profiles {
    Profiles::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Names, places and values of the readings of an item, as `name[place]=value unit`.
fn readings(profile: &Profile, id: u16, value: &str) -> Vec<String> {
    let value = hex::bytes(value);
    let written = profile.readings(id, &value).map(|reading| {
        let index = reading.index.map_or(String::new(), |at| format!("[{at}]"));
        let unit = reading
            .unit
            .map_or(String::new(), |unit| format!(" {unit}"));
        let value = serde_json::to_string(&reading.value).unwrap();
        format!("{}{index}={value}{unit}", reading.name)
    });
    written.collect()
}

fn builtin(name: &str, id: u16, value: &str) -> Vec<String> {
    readings(Profiles::builtin().by_name(name).unwrap(), id, value)
}

/// The lines and problems of a file that is refused.
fn mistakes(text: &str) -> Vec<(usize, String)> {
    let error = Profiles::parse(text).unwrap_err();
    let mistakes = error.mistakes.into_iter();
    mistakes.map(|m| (m.line, m.problem.to_string())).collect()
}

#[test]
fn the_standard_changes_nothing() {
    let profiles = Profiles::builtin();
    let standard = profiles.by_name("standard").unwrap();
    assert_eq!(**standard, Profile::default());
    let time = Gmt8Time([0x24, 0x07, 0x15, 0x08, 0x30, 0x15]);
    assert_eq!(standard.to_unix_seconds(time), time.unix_seconds());
    assert_eq!(standard.from_unix_seconds(1_721_003_415), Some(time));
    assert_eq!(standard.auth_code(b"A1B2C3\0"), b"A1B2C3\0");
    assert_eq!(standard.decode_text(&[0xD4, 0xC1, 0x42, 0]), "粤B");
    for id in 0..=0xFF {
        assert_eq!(standard.item(id, &[0; 4]), None);
    }
}

#[test]
fn nothing_is_chosen_for_a_terminal_that_no_profile_names() {
    let profiles = Profiles::builtin();
    assert_eq!(profiles.for_terminal("", ""), None);
    assert_eq!(profiles.for_terminal("70111", "KGP-1"), None);
}

#[test]
fn a_profile_is_chosen_by_what_a_registration_says() {
    let body = hex::bytes(
        "002C 012C 3434303330303730313131 42534A2D41362D4244
         000000000000000000000000000000000000000000 5445524D303031
         0000000000000000000000000000000000000000000000 02 D4C1423132333435",
    );
    let registration = Registration::decode(&mut Reader::new(body), Revision::V2019).unwrap();
    let chosen = |profiles: &Profiles| {
        let profile = profiles.for_registration(&registration);
        profile.map(|profile| profile.name().to_owned())
    };
    assert_eq!(chosen(&Profiles::builtin()).as_deref(), Some("bsj"));
    let fits = |fits: &str| {
        chosen(&own(&format!(
            "[[profile]]\nname = \"own\"\nfits = [{{ {fits} }}]"
        )))
    };
    for (pattern, is_own) in [
        (r#"maker = "44030070111""#, true),
        (r#"maker = "70111""#, true),
        (r#"maker = "701*""#, true),
        (r#"maker = "70112""#, false),
        (r#"model = "BSJ-A6-BD""#, true),
        (r#"model = "BSJ-A6""#, false),
        (r#"maker = "70111", model = "BSJ-A*""#, true),
        (r#"maker = "70112", model = "BSJ-A*""#, false),
    ] {
        let expected = if is_own { "own" } else { "bsj" };
        assert_eq!(fits(pattern).as_deref(), Some(expected), "{pattern}");
    }
}

#[test]
fn a_name_of_an_own_file_replaces_ours() {
    let profiles = own("[[profile]]\nname = \"gps51\"\ntext = \"utf-8\"\n");
    let gps51 = profiles.by_name("gps51").unwrap();
    assert_eq!(gps51.text_encoding(), TextEncoding::Utf8);
    assert_eq!(gps51.item(0x52, &[1]), None);
    assert_eq!(profiles.iter().count(), Profiles::builtin().iter().count());
    assert!(profiles.by_name("standard").is_some());
}

#[test]
fn a_clock_of_another_zone_is_read_as_what_it_is() {
    let midnight = Gmt8Time([0x24, 0x07, 0x15, 0, 0, 0]);
    let profiles = Profiles::builtin();
    let utc = profiles.by_name("utc").unwrap();
    assert_eq!(utc.to_unix_seconds(midnight), Some(1_721_001_600));
    assert_eq!(utc.from_unix_seconds(1_721_001_600), Some(midnight));
    let profiles = own("[[profile]]\nname = \"nepal\"\nutc_offset_minutes = 345\n");
    let nepal = profiles.by_name("nepal").unwrap();
    let expected = 1_721_001_600 - 345 * 60;
    assert_eq!(nepal.to_unix_seconds(midnight), Some(expected));
    assert_eq!(nepal.to_unix_seconds(Gmt8Time([0; 6])), None);
    assert_eq!(nepal.from_unix_seconds(i64::MAX), None);
    assert_eq!(nepal.from_unix_seconds(i64::MIN), None);
}

#[test]
fn a_code_is_found_in_each_form() {
    let code = |form: &str, shown: &[u8]| {
        let text = format!("[[profile]]\nname = \"own\"\nauth_code = \"{form}\"\n");
        let profiles = own(&text);
        let profile = profiles.by_name("own").unwrap();
        String::from_utf8(profile.auth_code(shown).to_vec()).unwrap()
    };
    assert_eq!(code("zero_behind", b"A1B2C3\0"), "A1B2C3");
    assert_eq!(code("zero_behind", b"A1B2C3"), "A1B2C3");
    assert_eq!(code("zero_behind", b"\0"), "");
    assert_eq!(code("imei_behind", b"A1B2C3860000000000001"), "A1B2C3");
    assert_eq!(code("imei_behind", b"A1B2C3"), "A1B2C3");
    assert_eq!(
        code("imei_behind", b"A1B2C386000000000000x"),
        "A1B2C386000000000000x"
    );
    assert_eq!(code("as_given", b"A1B2C3\0"), "A1B2C3\0");
}

#[test]
fn a_wrong_length_is_tolerated_by_its_cause() {
    let frame = |stated: u16, body: &[u8]| {
        let mut content = hex::bytes("0900 0000 013800138000 0003").to_vec();
        content[2..4].copy_from_slice(&stated.to_be_bytes());
        content.extend_from_slice(body);
        content.push(content.iter().fold(0, |code, byte| code ^ byte));
        // No escape: a 0x7E and a 0x7D before no code stand for themselves.
        Frame::open(content.into()).unwrap()
    };
    let body = [0x11, 0x7E, 0x22, 0x7E, 0x33];
    for (stated, escapes, check_code, any) in [
        (5, false, false, false),
        (6, false, true, true),
        (7, true, false, true),
        (9, false, false, true),
        (2, false, false, true),
    ] {
        let frame = frame(stated, &body);
        assert_eq!(frame.deviates, any);
        assert_eq!(LengthError::EscapesCounted.explains(&frame), escapes);
        assert_eq!(LengthError::CheckCodeCounted.explains(&frame), check_code);
        assert_eq!(LengthError::Any.explains(&frame), any);
        let profiles = Profiles::builtin();
        let tolerates = |name| profiles.by_name(name).unwrap().tolerates(&frame);
        assert_eq!(tolerates("escaped-length"), escapes);
        assert!(!tolerates("standard"));
    }
}

#[test]
fn text_is_in_the_encoding_of_the_profile() {
    let file = |encoding: &str| {
        format!(
            "[[profile]]\nname = \"own\"\ntext = \"{encoding}\"\n
             items = [{{ id = 0xBC, name = \"driver\", as = \"text\" }}]"
        )
    };
    let driver = |encoding: &str, value: &[u8]| {
        let profiles = own(&file(encoding));
        let reading = profiles.by_name("own").unwrap().item(0xBC, value).unwrap();
        match reading.value {
            VendorValue::Text(text) => text.into_owned(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(driver("gbk", &[0xCD, 0xF5, 0, 0]), "王");
    assert_eq!(driver("utf-8", "王 ".as_bytes()), "王");
    assert_eq!(driver("utf-8", &[0xFF]), "\u{FFFD}");
}

#[test]
fn every_mistake_has_its_line() {
    let text = r#"
[[profile]]
name = "Our Trucks"
utc_offset_minutes = 900
fits = [
    { maker = "70111" },
    { model = "*" },
]
lists = [
    { id = 0x80, form = "id8_length8" },
    { id = 0x80, form = "id16_length8" },
    { id = 0x81, form = "mask8" },
    { id = 0x82, form = "mask8", widths = [1, 1, 1, 1, 1, 1, 1, 1, 1] },
    { id = 0x83, form = "id8_length8", widths = [1] },
    { id = 0x84, form = "id8_length8", when = { width = 1, least = 256 } },
]
headers = [
    { id = 0x100, form = "id8_length32" },
    { id = 0x101, form = "id16_length8" },
    { id = 0x101, form = "id16_length16" },
]
items = [
    { id = 16, name = "a", bytes = 1, when = { width = 7, least = 0 } },
    { id = 17, name = "a", bytes = 1, column = 0 },
    { id = 1, name = "", bytes = 1 },
    { id = 2, name = "a" },
    { id = 3, name = "a", bytes = 7 },
    { id = 4, name = "a", bytes = 2, at = 1, width = 2 },
    { id = 5, name = "a", bytes = 1, bit = 8 },
    { id = 5, name = "a", bytes = 1, bit = 255, bits = 255 },
    { id = 6, name = "a", bytes = 1, divide_by = 0 },
    { id = 7, name = "a", every = 0 },
    { id = 8, name = "a", bytes = 1, after = 1 },
    { id = 9, name = "a", as = "text", add = 1 },
    { id = 10, name = "a", bytes = [2, 1], width = 1 },
    { id = 11, name = "a", part = 1, bytes = 1 },
    { id = 0x80, name = "a", part = 256, bytes = 1 },
    { id = 12, name = "a", bytes = 1, bits = 2 },
    { id = 13, name = "a", bytes = 1, bit = 1, as = "signed" },
    { id = 14, name = "a", bytes = 2, at = 3, as = "hex" },
    { id = 15, name = "right", bytes = 1 },
]

[[profile]]
name = "standard"
[[profile]]
name = "Our Trucks"
"#;
    let found = mistakes(text);
    let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
    let expected = [
        2, 7, 4, 18, 20, 11, 12, 13, 14, 15, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35,
        36, 37, 38, 39, 40, 44, 46, 46,
    ];
    assert_eq!(lines, expected, "{found:#?}");
    assert_eq!(
        found[12].1,
        "item 0x01: its name is none: a-z, 0-9, - and _"
    );
    let error = Profiles::parse(text).unwrap_err().to_string();
    assert_eq!(error.lines().count(), expected.len());
    let first = error.lines().next().unwrap();
    assert!(first.starts_with("line 2: profile Our Trucks: "), "{first}");
}

#[test]
fn a_wrong_key_or_type_has_its_line_too() {
    for (text, line) in [
        ("[[profile]]\nname = \"a\"\nsped = 1\n", 3),
        ("[[profile]]\nname = \"a\"\ntext = \"latin\"\n", 3),
        (
            "[[profile]]\nname = \"a\"\nitems = [\n{ id = 256, name = \"a\" }]\n",
            4,
        ),
        (
            "[[profile]]\nname = \"a\"\nitems = [\n{ id = 1, nme = \"a\" }]\n",
            4,
        ),
        ("[[profile]]\nname = \n", 2),
        ("[[profile]]\n", 1),
        ("profiles = 1", 1),
    ] {
        let found = mistakes(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, line, "{found:?}");
    }
}

#[test]
fn any_value_of_any_item_is_read_without_a_fault() {
    for profile in Profiles::builtin().iter() {
        for id in 0..=0xFF {
            for length in (0..=50).chain(240..=255) {
                for byte in [0x01, 0xFF] {
                    let value = vec![byte; length];
                    for reading in profile.readings(id, &value) {
                        assert!(!reading.name.is_empty());
                    }
                }
            }
        }
    }
}

#[test]
fn known_items_are_found_in_a_wrapper_as_well() {
    let profiles = Profiles::builtin();
    let obd = profiles.by_name("obd").unwrap();
    // Mileage; a list of the maker with the battery voltage of 12.5 V; the same, wrapped.
    let list = "800501610204e2";
    let text = format!("010400000001{list}e007{list}");
    let bytes = hex::bytes(&text);
    let known: Vec<_> = obd.known_items(&bytes).map(|item| item.id).collect();
    assert_eq!(known, [0x80, 0x80]);
    let readings = obd.known_items(&bytes);
    let readings = readings.flat_map(|item| obd.readings(item.id, item.value));
    let expected = serde_json::json!({ "name": "voltage", "value": 12.5, "unit": "volt" });
    for reading in readings {
        assert_eq!(serde_json::to_value(reading).unwrap(), expected);
    }
}

#[test]
fn escapes_that_the_length_counts_are_never_taken_for_the_body() {
    let profiles = Profiles::builtin();
    let known = profiles.by_name("escaped-length").unwrap();
    let standard = profiles.by_name("standard").unwrap();
    // Two pairs leave the check code right in both readings, and the length fits the wrong one.
    let raw = hex::bytes("0900 0004 013800138000 0004 7D017D01 A3");
    let frame = Frame::open(raw.clone()).unwrap();
    assert_eq!(standard.read_again(frame.clone(), &raw), frame);
    let again = known.read_again(frame, &raw);
    assert_eq!(again.body, &[0x7D, 0x7D][..]);
    assert!(known.counts_escapes(&again) && known.tolerates(&again));
    // A length that counts none stays what it was.
    let raw = hex::bytes("0900 0002 013800138000 0004 7D017D01 A5");
    let frame = Frame::open(raw.clone()).unwrap();
    assert_eq!(frame.body, &[0x7D, 0x7D][..]);
    assert_eq!(known.read_again(frame.clone(), &raw), frame);
    assert!(!known.counts_escapes(&frame));
}
