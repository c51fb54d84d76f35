//! A track from a GPX file, as phones, watches and receivers of people write it.

use std::io::BufRead;

use gpx::Waypoint;
use time::OffsetDateTime;

use super::track::{Fix, Row, TrackError, fixes_of};

/// Reads the track points of a GPX file that have a time, in the order of their times; routes and
/// single waypoints are no track. All of them are of one vehicle. Speeds are taken where the file has
/// them.
///
/// # Errors
/// When it is no GPX, or no point has a time.
pub fn read_gpx(input: impl BufRead) -> Result<Vec<Fix>, TrackError> {
    let file = gpx::read(input).map_err(|error| TrackError::Gpx(error.to_string()))?;
    let segments = file.tracks.iter().flat_map(|track| &track.segments);
    let points = segments.flat_map(|segment| &segment.points);
    let mut rows: Vec<Row> = points.filter_map(row).collect();
    if rows.is_empty() {
        return Err(TrackError::NoTimes);
    }
    rows.sort_by_key(|row| row.at);
    Ok(fixes_of(&rows))
}

fn row(point: &Waypoint) -> Option<Row> {
    let at = OffsetDateTime::from(point.time?).unix_timestamp();
    let place = point.point();
    Some(Row {
        vehicle: String::new(),
        at,
        lat: place.y(),
        lon: place.x(),
        heading: None,
        // Metres a second.
        speed: point
            .speed
            .map(|mps| mps * 3.6)
            .filter(|kmh| (0.0..=1_000.0).contains(kmh)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACK: &str = r#"<?xml version="1.0"?>
        <gpx version="1.1" creator="a phone" xmlns="http://www.topografix.com/GPX/1/1">
          <wpt lat="1.0" lon="1.0"><time>2020-01-01T00:00:00Z</time></wpt>
          <trk><trkseg>
            <trkpt lat="45.772175" lon="14.357659"><ele>542</ele><time>2010-09-18T06:31:12.500Z</time></trkpt>
            <trkpt lat="45.772175" lon="14.357659"></trkpt>
          </trkseg><trkseg>
            <trkpt lat="45.773075" lon="14.357659"><time>2010-09-18T08:31:22+02:00</time></trkpt>
          </trkseg></trk>
        </gpx>"#;

    #[test]
    fn the_points_of_all_segments_that_have_a_time_are_the_track() {
        let fixes = read_gpx(TRACK.as_bytes()).unwrap();
        let at = |fix: &Fix| (fix.fixed_at, fix.latitude, fix.longitude);
        assert_eq!(fixes.len(), 2, "{fixes:?}");
        assert_eq!(at(&fixes[0]), (1_284_791_472, 45_772_175, 14_357_659));
        // 100 m north in 10 s.
        assert_eq!(
            (fixes[1].fixed_at, fixes[1].speed_dkmh),
            (1_284_791_482, 360)
        );
        assert_eq!(fixes[1].heading_deg, 0);
    }

    #[test]
    fn speeds_of_the_file_are_taken() {
        let track = TRACK
            .replace("1.1\" creator", "1.0\" creator")
            .replace("GPX/1/1", "GPX/1/0")
            .replace("</time></trkpt>", "</time><speed>5.0</speed></trkpt>");
        let fixes = read_gpx(track.as_bytes()).unwrap();
        assert_eq!(
            fixes.iter().map(|fix| fix.speed_dkmh).collect::<Vec<_>>(),
            [180, 180]
        );
    }

    #[test]
    fn what_is_no_track_is_refused() {
        let without = TRACK.replace("time>", "name>");
        assert!(matches!(
            read_gpx(without.as_bytes()),
            Err(TrackError::NoTimes)
        ));
        assert!(matches!(
            read_gpx(&b"<html></html>"[..]),
            Err(TrackError::Gpx(_))
        ));
        let beyond = TRACK.replace("45.773075", "95.773075");
        assert!(matches!(
            read_gpx(beyond.as_bytes()),
            Err(TrackError::Gpx(_))
        ));
    }
}
