use super::*;
use crate::config::{CatalogFiles, Config, Raw};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

struct City {
    directory: Directory,
    _folder: tempfile::TempDir,
}

/// A directory of a catalog with vehicle V1, terminal 1, plate 晋A00001, and V2, terminal 2.
fn city(settings: &str) -> City {
    let folder = tempfile::tempdir().unwrap();
    let vehicles = folder.path().join("vehicles.csv");
    let text = "vehicle,phone,plate\nV1,1,晋A00001\nV2,2,晋A00002\n";
    std::fs::write(&vehicles, text).unwrap();
    let files = CatalogFiles {
        vehicles: Some(vehicles),
        ..CatalogFiles::default()
    };
    let mut raw = Raw::default();
    raw.add_file("test.toml".into(), &format!("[terminals]\n{settings}"));
    let policy = Config::from_raw(raw).unwrap().terminals;
    let key = AuthKey::load_or_create(&folder.path().join("key")).unwrap();
    let catalog = Arc::new(Catalog::load(&files).unwrap());
    let profiles = TerminalProfiles::load(&crate::config::Profiles::default()).unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    City {
        directory: Directory::new(key, None, policy, catalog, profiles, metrics, Vec::new()),
        _folder: folder,
    }
}

fn link(directory: &Directory, address: [u8; 4]) -> Link {
    let (connection, control) = directory.open_connection();
    Link {
        connection,
        control,
        address: address.into(),
        transport: "tcp",
        is_shared: false,
    }
}

fn record(phone: &str, terminal_id: &str, plate: &str) -> TerminalRecord {
    TerminalRecord {
        terminal: phone.parse().unwrap(),
        revision: 2013,
        manufacturer: "70111".into(),
        model: "M".into(),
        terminal_id: terminal_id.into(),
        plate: plate.into(),
        plate_color: 2,
        registered_at: NOW,
        deregistered_at: None,
        codes: storage::registry::CodeHashes::default(),
    }
}

impl City {
    /// Result of 0x8100, and the code.
    fn register(&self, phone: &str, terminal_id: &str, plate: &str) -> (u8, String) {
        let record = record(phone, terminal_id, plate);
        match self.directory.register(record, [192, 0, 2, 1].into(), NOW) {
            Ok(welcome) => (0, welcome.unwrap().code),
            Err(refusal) => (refusal as u8, String::new()),
        }
    }

    fn log_in(&self, phone: &str, code: &str, link: &Link) -> Result<(), AuthenticationRefusal> {
        let terminal = phone.parse().unwrap();
        self.directory
            .log_in(
                terminal,
                code.as_bytes(),
                link,
                State::Connected,
                Downlink::to_nobody(),
                NOW,
            )
            .map(drop)
    }
}

#[test]
fn an_open_directory_never_contradicts_the_catalog() {
    let city = city("registration = \"open\"\nregistered_max = 2");
    let result = |phone, id, plate| city.register(phone, id, plate).0;
    assert_eq!(result("9", "T9", "晋A99999"), 0);
    assert_eq!(
        result("9", "T9", "晋A88888"),
        0,
        "it moved to another vehicle"
    );
    assert_eq!(result("9", "T8", "晋A99999"), 3, "another device");
    assert_eq!(result("9", "T9", "晋A00001"), 1, "a vehicle of terminal 1");
    assert_eq!(
        result("1", "T1", "晋A00009"),
        3,
        "terminal 1 is in another vehicle"
    );
    assert_eq!(result("1", "T1", "晋A00001"), 0);
    assert_eq!(result("8", "T8", ""), 4, "no room for strangers");
    assert_eq!(result("2", "T2", ""), 0, "the catalog's have room");
    assert_eq!(city.directory.unknown().newest(9).len(), 3);
}

#[test]
fn where_terminals_must_be_known_the_catalog_alone_decides() {
    let city = city("registration = \"known\"");
    let result = |phone, id, plate| city.register(phone, id, plate).0;
    assert_eq!(result("9", "T9", "晋A99999"), 4);
    assert_eq!(result("1", "T1", "晋A00009"), 2);
    assert_eq!(result("1", "T1", "晋A00002"), 1);
    assert_eq!(result("1", "T1", "晋A00001"), 0);
    assert_eq!(result("1", "T1", "晋A00001"), 0);
    assert_eq!(result("1", "T7", "晋A00001"), 3);
    assert!(city.directory.release("1".parse().unwrap(), NOW));
    assert_eq!(result("1", "T7", "晋A00001"), 0, "the device was exchanged");
}

#[test]
fn a_maker_is_the_same_with_the_district_of_2019_in_front() {
    let old = record("1", "T1", "");
    let mut new = old.clone();
    new.manufacturer = "14010070111".into();
    assert!(!is_same_device(&old, &new));
    new.revision = 2019;
    assert!(is_same_device(&old, &new));
    new.manufacturer = String::new();
    assert!(!is_same_device(&old, &new));
}

#[test]
fn a_newer_code_ends_the_elder_one_when_it_is_used() {
    let city = city("");
    let (_, first) = city.register("9", "T9", "");
    let (_, second) = city.register("9", "T9", "");
    assert_ne!(first, second);
    let link = link(&city.directory, [192, 0, 2, 1]);
    for code in [&first, &second, &second] {
        assert_eq!(city.log_in("9", code, &link), Ok(()));
    }
    let wrong = Err(AuthenticationRefusal::Wrong);
    assert_eq!(city.log_in("9", &first, &link), wrong);
    assert_eq!(city.log_in("8", &second, &link), wrong, "nobody's");
}

#[test]
fn wrong_codes_hold_up_their_own_address_only() {
    let city = city("wrong_codes_per_minute_max = 2");
    let (_, code) = city.register("9", "T9", "");
    let guesser = link(&city.directory, [192, 0, 2, 66]);
    for _ in 0..2 {
        let guessed = city.log_in("9", "guess", &guesser);
        assert_eq!(guessed, Err(AuthenticationRefusal::Wrong));
    }
    let refused = Err(AuthenticationRefusal::TooMany);
    assert_eq!(city.log_in("9", &code, &guesser), refused);
    let elsewhere = link(&city.directory, [192, 0, 2, 1]);
    assert_eq!(city.log_in("9", &code, &elsewhere), Ok(()));
    // Who registers on the link has its code from there.
    let terminal = "9".parse().unwrap();
    let registered = State::Registered;
    let code = code.as_bytes();
    let judged = city.directory.log_in(
        terminal,
        code,
        &guesser,
        registered,
        Downlink::to_nobody(),
        NOW,
    );
    assert!(judged.is_ok());
}

#[test]
fn the_newest_connection_wins_but_not_without_end() {
    let city = city("takeovers_per_minute_max = 2");
    let (_, code) = city.register("9", "T9", "");
    let terminal = "9".parse().unwrap();
    let mut opened = city.directory.subscribe_opened();
    let links: Vec<_> = (0..4)
        .map(|_| link(&city.directory, [192, 0, 2, 1]))
        .collect();
    for link in &links[..3] {
        assert_eq!(city.log_in("9", &code, link), Ok(()));
        let owner = city.directory.owner_of(terminal).unwrap();
        assert_eq!(owner.connection, link.connection);
        let expected = Opened {
            terminal,
            epoch: owner.epoch,
        };
        assert_eq!(opened.try_recv(), Ok(expected));
    }
    let refused = Err(AuthenticationRefusal::TakeOver);
    assert_eq!(city.log_in("9", &code, &links[3]), refused);
    let is_told = |link: &Link| link.control.is_told(Order::Replaced);
    assert!(is_told(&links[0]) && is_told(&links[1]));
    assert!(!is_told(&links[2]), "it keeps its session");
    assert!(city.directory.owns(terminal, links[2].connection));
}

#[test]
fn the_end_of_an_elder_connection_does_not_end_the_newer_session() {
    let city = city("");
    let (_, code) = city.register("9", "T9", "");
    let terminal = "9".parse().unwrap();
    let [elder, newer] = [1, 2].map(|n| link(&city.directory, [192, 0, 2, n]));
    city.log_in("9", &code, &elder).unwrap();
    city.log_in("9", &code, &newer).unwrap();
    let close = |link: &Link| {
        let kind = TerminalEventKind::Offline;
        let directory = &city.directory;
        directory.close_session(terminal, link.connection, kind, "peer", NOW)
    };
    assert!(!close(&elder));
    assert!(city.directory.is_online(terminal));
    assert!(close(&newer));
    assert_eq!(city.directory.sessions(), 0);
}

#[test]
fn a_known_phone_needs_no_code_where_that_is_the_policy() {
    let city = city("authentication = \"known_phone\"\nregistration = \"known\"");
    let link = link(&city.directory, [192, 0, 2, 1]);
    assert_eq!(city.log_in("1", "authentication", &link), Ok(()));
    let refused = Err(AuthenticationRefusal::Wrong);
    assert_eq!(city.log_in("9", "authentication", &link), refused);
    let by_phone = |phone: &str| {
        let terminal = phone.parse().unwrap();
        let downlink = Downlink::to_nobody();
        let judged = city
            .directory
            .log_in_by_phone(terminal, &link, downlink, NOW);
        judged.map(drop)
    };
    assert_eq!(by_phone("2"), Ok(()));
    assert_eq!(by_phone("9"), Err(PhoneRefusal::CodeNeeded));
}

#[test]
fn the_list_goes_on_after_its_last_one() {
    let city = city("");
    for phone in ["13", "9", "10"] {
        city.register(phone, "T", "");
    }
    let list = |after: Option<&str>, limit| {
        let after = after.map(|phone| phone.parse().unwrap());
        let found = city.directory.terminals(after, None, limit);
        let phones = found.iter().map(|state| state.terminal.to_string());
        phones.collect::<Vec<_>>()
    };
    assert_eq!(list(None, 2), ["10", "13"]);
    assert_eq!(list(Some("13"), 2), ["9"]);
    assert_eq!(city.directory.terminals(None, Some(true), 9).len(), 0);
}
