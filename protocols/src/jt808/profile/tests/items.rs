//! Items of makers: lists, masks, conditions, headers.

use super::*;

#[test]
fn items_inside_of_an_item_are_read() {
    // jt-framework#71.
    let value = "000C 00B2 89860494012080447822 0006 0089 FFFFFFFE 0006 00C5 FFFFFFE7
                 000B 00D8 01CC 00 9005 0FEC20C7 0004 00B7 1D00";
    let expected = [
        r#"iccid="89860494012080447822""#,
        "power_off=1",
        "removal=0",
        "vibration=0",
        "motion_state=3",
        "cell_mcc=460",
        "cell_mnc=0",
        "cell_lac=36869",
        "cell_id=267133127",
    ];
    assert_eq!(builtin("bsj", 0xEB, value), expected);
    // The other forms of this item are no list, nor is one that breaks off.
    let cells = [
        "cell_mcc=460",
        "cell_mnc=0",
        "cell_lac[0]=36869",
        "cell_lac[1]=36869",
        "cell_id[0]=8391",
        "cell_id[1]=8392",
        "cell_rssi[0]=29",
        "cell_rssi[1]=30",
    ];
    let value = "01CC 00 9005 20C7 1D 9005 20C8 1E";
    assert_eq!(builtin("bsj", 0xEB, value), cells);
    let zone = builtin("bsj", 0xEB, "474D542B3038");
    assert_eq!(zone.last().unwrap(), r#"time_zone="GMT+08""#);
    for other in ["0006 0089 FFFFFF", "0001 0089", ""] {
        assert_eq!(builtin("bsj", 0xEB, other), [""; 0], "{other}");
    }

    let value = "01 84 01 5A 8B 11 4C535641413439 4A313332303437333731 8C 04 0001E240";
    let expected = [
        "coolant_temperature=50 celsius",
        r#"vin="LSVAA49J132047371""#,
        "odometer=12345.6 kilometre",
    ];
    assert_eq!(builtin("obd", 0x80, value), expected);
    let value = "7C 01 04 00000012";
    let expected = [
        "hard_acceleration=0",
        "hard_braking=1",
        "hard_cornering=0",
        "accident=0",
        "tampering=1",
    ];
    assert_eq!(builtin("sensors", 0xFE, value), expected);
    let value = "0009 01 5A 0005 04 0001E240 0112 02 0003";
    let expected = [
        "coolant_temperature=50 celsius",
        "odometer=12345.6 kilometre",
        "hard_accelerations=3",
    ];
    assert_eq!(builtin("obd", 0xF3, value), expected);
}

#[test]
fn a_mask_says_which_fields_there_are() {
    // Two tags; the mask has name, voltage and temperature.
    let tag = |mac: &str, name: &str| format!("{mac} C4 {name} 0BB8 FFF1");
    let first = tag("0A0B0C0D0E0F", "41310000000000000000");
    let second = tag("0A0B0C0D0E10", "41320000000000000000");
    let expected = [
        r#"tag_mac[0]="0a0b0c0d0e0f""#,
        "tag_rssi[0]=-60",
        r#"tag_name[0]="A1""#,
        "tag_battery_voltage[0]=3.0 volt",
        "tag_temperature[0]=-1.5 celsius",
        r#"tag_mac[1]="0a0b0c0d0e10""#,
        "tag_rssi[1]=-60",
        r#"tag_name[1]="A2""#,
        "tag_battery_voltage[1]=3.0 volt",
        "tag_temperature[1]=-1.5 celsius",
    ];
    assert_eq!(
        builtin("aovx", 0xF3, &format!("0D {first} {second}")),
        expected
    );
    // A tag that breaks off; a mask alone.
    assert_eq!(builtin("aovx", 0xF3, &format!("0D {first} 0A0B")), [""; 0]);
    assert_eq!(builtin("aovx", 0xF3, "0D"), [""; 0]);

    let expected = [
        "event=2",
        "illuminance=300 lux",
        "acceleration[0]=1",
        "acceleration[1]=-1",
        "acceleration[2]=256",
        "air_pressure=1013",
    ];
    let value = "02 29 012C 0001 FFFF 0100 03F5";
    assert_eq!(builtin("aovx", 0xF6, value), expected);
    // A bit that nobody knows the field of: what stands before it counts.
    let expected = ["event=2", "illuminance=300 lux"];
    assert_eq!(builtin("aovx", 0xF6, "02 81 012C AABB"), expected);
    assert_eq!(builtin("aovx", 0xF6, "02 01 012C AABB"), ["event=2"]);

    let expected = ["hdop=0.9", r#"fix_time="261128083015""#];
    assert_eq!(builtin("aovx", 0xF9, "001C 0009 261128083015"), expected);
    let expected = [
        "working_mode=1",
        r#"imei="0860000000000001""#,
        r#"iccid="89860494012080447822""#,
    ];
    let value = "01 0860000000000001 89860494012080447822";
    assert_eq!(builtin("aovx", 0xF8, value), expected);
}

#[test]
fn a_reading_may_depend_on_a_number_of_its_value() {
    let expected = [
        "event_type=8197",
        r#"event_content="0b000102018600030155""#,
        "battery_voltage=3.9 volt",
        "battery=85 percent",
    ];
    let value = "2005 0B 0001 02 0186 0003 01 55";
    assert_eq!(builtin("jc-cameras", 0xE8, value), expected);
    let value = "2003 07 01 03 0186 1F 04B0";
    let expected = [
        "event_type=8195",
        r#"event_content="07010301861f04b0""#,
        "charging=1",
        "battery_sixths=3",
        "battery_voltage=3.9 volt",
        "rssi=31",
        "supply_voltage=12.0 volt",
    ];
    assert_eq!(builtin("jc-cameras", 0xE8, value), expected);
    let value = "0061 0A0B0C0D0E0F 3132333435363738";
    let expected = [
        "lock_event=97",
        r#"lock_id="0a0b0c0d0e0f""#,
        r#"driver_id="12345678""#,
    ];
    assert_eq!(builtin("locks", 0x60, value), expected);
    let value = "0067 0A0B0C0D0E0F 3132333435363738";
    assert_eq!(builtin("locks", 0x60, value), ["lock_event=103"]);
}

#[test]
fn numbers_in_text_are_read() {
    let value = "2A4D3030 30303030 3030 333835 30303023";
    let expected = [
        r#"lock_text="*M00000000385000#""#,
        "lock_battery_voltage=3.85 volt",
    ];
    assert_eq!(builtin("locks", 0x33, value), expected);
    let text = "$OBD-RT,12.6,850,,19.6,-3,nan,1e9,88888888888888,0x1";
    let value: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
    let expected = [
        "supply_voltage=12.6 volt",
        "engine_speed=850 rpm",
        "throttle=19.6 percent",
        "engine_load=-3 percent",
    ];
    assert_eq!(builtin("obd", 0xE6, &value), expected);
}

#[test]
fn items_with_other_headers_are_read_and_leave_the_standard_ones_alone() {
    let profiles = own(r#"
[[profile]]
name = "own"
headers = [
    { id = 0xF001, form = "id16_length8" },
    { id = 0xF002, form = "id16_length16" },
    { id = 0xEF, form = "id8_length32" },
]
items = [
    { id = 0xF001, bytes = 1, name = "bucket" },
    { id = 0xF002, bytes = 2, name = "brush" },
    { id = 0xEF, bytes = 1, name = "pump" },
]
"#);
    let profile = profiles.by_name("own").unwrap();
    // Each value would be read as items of the standard: satellites, mileage.
    let bytes =
        hex::bytes("0104 00000064 F001 01 31 F002 0002 0104 EF 00000001 31 31 01 0C 310109");
    let known = profile.known_items(&bytes);
    let names: Vec<_> = known
        .flat_map(|item| profile.readings(item.id, item.value))
        .map(|reading| format!("{}={:?}", reading.name, reading.value))
        .collect();
    let expected = [
        "bucket=Integer(49)",
        "brush=Integer(260)",
        "pump=Integer(49)",
    ];
    assert_eq!(names, expected);
    let items = Items::of(bytes, Revision::V2013);
    let standard = profile.headers().standard_items(&items);
    assert_eq!(
        standard.as_bytes(),
        hex::bytes("0104 00000064 31010C 310109")
    );
    let encoded: Vec<u8> = profile.headers().encode().collect();
    assert_eq!(encoded, hex::bytes("03 F00101 F00202 00EF03"));
    let again = Headers::decode(&[&encoded[..], b"frame"].concat());
    assert_eq!(again, Some((*profile.headers(), encoded.len())));
    for bad in ["", "01", "01 F001", "01 F001 09", "11"] {
        assert_eq!(Headers::decode(&hex::bytes(bad)), None, "{bad}");
    }
}

#[test]
fn a_list_goes_on_to_the_end_where_its_length_is_wrong() {
    let profiles = Profiles::builtin();
    let obd = profiles.by_name("obd").unwrap();
    let names = |text: &str| -> Vec<String> {
        let bytes = hex::bytes(text);
        let known = obd.known_items(&bytes);
        let readings = known.flat_map(|item| obd.readings(item.id, item.value));
        readings.map(|reading| reading.name.to_owned()).collect()
    };
    // The length is right: what follows is of the standard.
    assert_eq!(names("8005 01 6102 04E2 31010C"), ["voltage"]);
    // It says 1, and the list goes on.
    assert_eq!(
        names("8001 01 6102 04E2 8401 5A"),
        ["voltage", "coolant_temperature"]
    );
}

#[test]
fn one_id_means_to_each_vendor_something_else() {
    let below = ["temperature[0]=-1.5 celsius", "temperature[1]=25.1 celsius"];
    assert_eq!(builtin("gps51", 0x51, "FFF1 00FB"), below);
    assert_eq!(builtin("sensors", 0x51, "800F 00FB"), below);
    assert_eq!(
        builtin("asset-trackers", 0xE1, "5A"),
        ["battery=90 percent"]
    );
    assert_eq!(
        builtin("sensors", 0xE1, "0079"),
        ["supply_voltage=12.1 volt"]
    );
    assert_eq!(builtin("sensors", 0xE1, "5A"), [""; 0]);
    assert_eq!(builtin("gps51", 0xF1, "38393836"), [r#"iccid="8986""#]);
    assert_eq!(
        builtin("guangdong", 0xF1, "00000005"),
        ["installation_errors=5"]
    );
}

#[test]
fn a_place_without_a_value_keeps_the_places_of_the_others() {
    let expected = ["temperature[1]=25.1 celsius"];
    assert_eq!(builtin("gps51", 0x51, "FFFF 00FB"), expected);
    // Half an element.
    assert_eq!(builtin("gps51", 0x51, "FFFF 00"), [""; 0]);
}

#[test]
fn the_items_of_trucks_are_read() {
    assert_eq!(builtin("gps51", 0x52, "02"), ["drum_direction=2"]);
    assert_eq!(builtin("gps51", 0x52, "0200"), [""; 0]);
    let expected = [
        "battery=80 percent",
        "battery_voltage=3.85 volt",
        "charging=1",
    ];
    assert_eq!(builtin("gps51", 0xFB, "50 0181 01"), expected);
    let wifi = builtin("gps51", 0x54, "01 AABBCCDDEEFF C4");
    let expected = [r#"wifi_mac[0]="AABBCCDDEEFF""#, "wifi_signal[0]=196"];
    assert_eq!(
        wifi.join(" ").to_uppercase(),
        expected.join(" ").to_uppercase()
    );
    let tyre = [
        "tyre_index[0]=1",
        r#"tyre_sensor[0]="0a0b0c""#,
        "tyre_pressure[0]=8.5 bar",
        "tyre_temperature[0]=-10 celsius",
        "tyre_status[0]=0",
    ];
    assert_eq!(builtin("sensors", 0x77, "01 0A0B0C FD54 28 00"), tyre);
    let cells = [
        "cell_mcc=460",
        "cell_mnc=0",
        "cell_lac[0]=36869",
        "cell_id[0]=267133127",
        "cell_rssi[0]=29",
    ];
    assert_eq!(builtin("gps51", 0xE1, "01CC 0000 9005 0FEC20C7 1D"), cells);
    let value = "01CC 0000 009005 0FEC20C7 1D";
    assert_eq!(builtin("asset-trackers", 0xE1, value), cells);
    // The capture of SmallChi/JT808#48 says these.
    let value = "00000001 00 02 0000 0000 0000 31 0010 00C54E34 04A21BDD 240715083015 0401
                 5445524D303031 240715083015 00 03 00";
    let readings = builtin("hard-driving", 0x70, value);
    for expected in [
        "alarm_type=2",
        "speed=49 kmh",
        "latitude=12930612 micro_degree",
        r#"time="240715083015""#,
    ] {
        assert!(
            readings.iter().any(|reading| reading == expected),
            "{readings:?}"
        );
    }
}
