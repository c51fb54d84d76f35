//! GPX 1.1: a track for each terminal, a segment between two gaps. Speed and course have no place
//! in GPX 1.1 itself and go into Garmin's extension, which most programs read.

use std::{
    io::{self, Write},
    time::Duration,
};

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};

use super::{Row, RowWriter};
use crate::{clock::rfc3339, tracks::Gaps};

const ROOT: [(&str, &str); 6] = [
    ("version", "1.1"),
    ("creator", "gridtrace"),
    ("xmlns", "http://www.topografix.com/GPX/1/1"),
    (
        "xmlns:gpxtpx",
        "http://www.garmin.com/xmlschemas/TrackPointExtension/v2",
    ),
    ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"),
    (
        "xsi:schemaLocation",
        "http://www.topografix.com/GPX/1/1 http://www.topografix.com/GPX/1/1/gpx.xsd \
         http://www.garmin.com/xmlschemas/TrackPointExtension/v2 \
         https://www8.garmin.com/xmlschemas/TrackPointExtensionv2.xsd",
    ),
];

pub(super) struct GpxWriter<W: Write> {
    xml: Writer<W>,
    gap: Duration,
    gaps: Gaps,
    /// Whose track is open.
    phone: Option<String>,
}

impl<W: Write> GpxWriter<W> {
    pub(super) fn new(output: W, gap: Duration) -> io::Result<Self> {
        let mut xml = Writer::new(output);
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        xml.write_event(Event::Start(BytesStart::new("gpx").with_attributes(ROOT)))?;
        Ok(Self {
            xml,
            gap,
            gaps: Gaps::new(gap, None),
            phone: None,
        })
    }

    fn open(&mut self, phone: &str) -> io::Result<()> {
        self.close()?;
        self.start("trk")?;
        self.text("name", phone)?;
        self.start("trkseg")?;
        self.phone = Some(phone.to_owned());
        self.gaps = Gaps::new(self.gap, None);
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        if self.phone.take().is_some() {
            self.end("trkseg")?;
            self.end("trk")?;
        }
        Ok(())
    }

    fn start(&mut self, name: &str) -> io::Result<()> {
        self.xml.write_event(Event::Start(BytesStart::new(name)))
    }

    fn end(&mut self, name: &str) -> io::Result<()> {
        self.xml.write_event(Event::End(BytesEnd::new(name)))
    }

    fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        let element = self.xml.create_element(name);
        element.write_text_content(BytesText::new(text))?;
        Ok(())
    }

    /// The order of the parts is the schema's.
    fn point(&mut self, row: &Row, time: &str, lat: f64, lon: f64) -> io::Result<()> {
        // 180 degrees east has no name in GPX; west has.
        let lon = if lon >= 180.0 { -180.0 } else { lon };
        let (lat, lon) = (format!("{lat:.6}"), format!("{lon:.6}"));
        let place = [("lat", lat.as_str()), ("lon", lon.as_str())];
        let start = BytesStart::new("trkpt").with_attributes(place);
        self.xml.write_event(Event::Start(start))?;
        if let Some(altitude) = row.altitude_m {
            self.text("ele", &altitude.to_string())?;
        }
        self.text("time", time)?;
        if let Some(satellites) = row.satellites {
            self.text("sat", &satellites.to_string())?;
        }
        self.start("extensions")?;
        self.start("gpxtpx:TrackPointExtension")?;
        if let Some(speed) = row.speed_kmh {
            // Metres a second there.
            self.text("gpxtpx:speed", &format!("{:.2}", speed / 3.6))?;
        }
        if let Some(heading) = row.heading_deg {
            self.text("gpxtpx:course", &heading.to_string())?;
        }
        self.end("gpxtpx:TrackPointExtension")?;
        self.end("extensions")?;
        self.end("trkpt")
    }
}

impl<W: Write + Send> RowWriter for GpxWriter<W> {
    fn write(&mut self, row: &Row) -> io::Result<bool> {
        let Some((fixed_at, lat, lon)) = row.fix() else {
            return Ok(false);
        };
        if self.phone.as_ref() != Some(&row.phone) {
            self.open(&row.phone)?;
        }
        if self.gaps.next(fixed_at).is_some() {
            self.end("trkseg")?;
            self.start("trkseg")?;
        }
        self.point(row, &rfc3339(fixed_at), lat, lon)?;
        Ok(true)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.xml.get_mut().flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.close()?;
        self.end("gpx")?;
        self.flush()
    }
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;

    use super::*;
    use crate::tracks::{
        files::{Format, written},
        row::tests::stored,
    };

    /// The elements in order, the texts in them, and the places of points; a text that is no XML
    /// fails.
    fn outline(bytes: &[u8]) -> Vec<String> {
        let mut reader = Reader::from_str(std::str::from_utf8(bytes).unwrap());
        reader.config_mut().check_end_names = true;
        let mut found = Vec::new();
        loop {
            match reader.read_event().unwrap() {
                Event::Start(start) => {
                    let name = start.name().as_ref().to_owned();
                    let place = |key: &str| {
                        let value = start.try_get_attribute(key).unwrap();
                        value.map(|value| value.value.into_owned())
                    };
                    found.push(match (place("lat"), place("lon")) {
                        (Some(lat), Some(lon)) => format!("{name} {lat} {lon}"),
                        _ => name,
                    });
                }
                Event::Text(text) => found.push(format!("={}", &*text)),
                Event::End(end) if end.name().as_ref() == "trkseg" => found.push("/trkseg".into()),
                Event::End(end) if end.name().as_ref() == "trk" => found.push("/trk".into()),
                Event::Eof => return found,
                _ => {}
            }
        }
    }

    #[test]
    fn a_track_has_a_segment_between_two_gaps_and_only_usable_fixes() {
        let mut first = Row::from(&stored(0, 37.87, 112.55));
        first.altitude_m = None;
        first.satellites = None;
        let mut without_fix = Row::from(&stored(30, 37.88, 112.55));
        without_fix.positioned = Some(false);
        let behind_a_gap = Row::from(&stored(61, 37.89, 180.0));
        let mut of_another = Row::from(&stored(5, 37.9, 112.55));
        of_another.phone = "13800000002".into();
        let rows = [first, without_fix, behind_a_gap, of_another];
        let found = outline(&written(Format::Gpx, Duration::from_secs(60), &rows));
        let point = |lat: &str, lon: &str, time: &str| {
            let mut parts = vec![format!("trkpt {lat} {lon}")];
            if lat != "37.870000" {
                parts.extend(["ele".into(), "=-5".into()]);
            }
            parts.extend(["time".into(), format!("={time}")]);
            if lat != "37.870000" {
                parts.extend(["sat".into(), "=9".into()]);
            }
            let extension = [
                "extensions",
                "gpxtpx:TrackPointExtension",
                "gpxtpx:speed",
                "=10.14",
                "gpxtpx:course",
                "=90",
            ];
            parts.extend(extension.map(String::from));
            parts
        };
        let mut expected: Vec<String> = Vec::new();
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        expected.extend(words(&["gpx", "trk", "name", "=13800000001", "trkseg"]));
        expected.extend(point("37.870000", "112.550000", "2025-11-25T00:00:00.000Z"));
        expected.extend(words(&["/trkseg", "trkseg"]));
        expected.extend(point(
            "37.890000",
            "-180.000000",
            "2025-11-25T00:01:01.000Z",
        ));
        expected.extend(words(&[
            "/trkseg",
            "/trk",
            "trk",
            "name",
            "=13800000002",
            "trkseg",
        ]));
        expected.extend(point("37.900000", "112.550000", "2025-11-25T00:00:05.000Z"));
        expected.extend(words(&["/trkseg", "/trk"]));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_without_a_fix_is_whole() {
        assert_eq!(
            outline(&written(Format::Gpx, Duration::from_secs(60), &[])),
            ["gpx"]
        );
    }
}
