//! A track as a file.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use geofence::units::Timestamp;
use storage::store::{PositionQuery, PositionRow, Store};
use tokio::sync::OwnedSemaphorePermit;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Problem, Shared, TrackParameters, enter, last_of_full_page};
use crate::{
    Gateway, clock,
    tracks::{
        files::{Format, RowWriter, Taken},
        row::Row,
    },
};

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(csv))
        .routes(routes!(gpx))
        .routes(routes!(geojson))
}

/// The track as CSV; without pages and not simplified.
#[utoipa::path(
    get,
    path = "/terminals/{phone}/track.csv",
    tag = "positions",
    params(("phone" = String, Path), TrackParameters),
    responses(
        (status = 200, description = "The file.", body = String, content_type = "text/csv; charset=utf-8"),
        (status = 503, description = "The store is away, or as many as `tracks.readers_max` are being read."),
    ),
)]
async fn csv(gateway: Shared, phone: Path<String>, wanted: Query<TrackParameters>) -> Answer {
    file(gateway, phone, wanted, Format::Csv).await
}

/// The track as GPX; without pages and not simplified.
#[utoipa::path(
    get,
    path = "/terminals/{phone}/track.gpx",
    tag = "positions",
    params(("phone" = String, Path), TrackParameters),
    responses(
        (status = 200, description = "The file.", body = String, content_type = "application/gpx+xml"),
        (status = 503, description = "The store is away, or as many as `tracks.readers_max` are being read."),
    ),
)]
async fn gpx(gateway: Shared, phone: Path<String>, wanted: Query<TrackParameters>) -> Answer {
    file(gateway, phone, wanted, Format::Gpx).await
}

/// The track as GeoJSON; without pages and not simplified.
#[utoipa::path(
    get,
    path = "/terminals/{phone}/track.geojson",
    tag = "positions",
    params(("phone" = String, Path), TrackParameters),
    responses(
        (status = 200, description = "The file.", body = Object, content_type = "application/geo+json"),
        (status = 503, description = "The store is away, or as many as `tracks.readers_max` are being read."),
    ),
)]
async fn geojson(gateway: Shared, phone: Path<String>, wanted: Query<TrackParameters>) -> Answer {
    file(gateway, phone, wanted, Format::Geojson).await
}

type Answer = Result<Response, Problem>;

/// A track as a file, written while it is read: one page is in memory, and the next one is asked
/// for when the reader has taken it.
async fn file(
    State(gateway): Shared,
    Path(phone): Path<String>,
    Query(parameters): Query<TrackParameters>,
    format: Format,
) -> Answer {
    parameters.refuse_pages("a file")?;
    if parameters.simplify.is_some() {
        return Err(Problem::bad_request("simplify: a file has every point"));
    }
    let gap = parameters.gap(&gateway)?;
    let query = parameters.query(&gateway, &phone)?;
    let place = enter(&gateway)?;
    let name = file_name(&query, format);
    let output = Taken::default();
    let failed =
        |error: std::io::Error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let writer = format.writer(output.clone(), gap).map_err(failed)?;
    // The first page before the answer begins: a store that is away is then told by the status.
    let first = gateway.store.positions(&query).await?;
    let track = FileOfTrack {
        store: Arc::clone(&gateway.store),
        query,
        rows: Some(first),
        writer,
        output,
        is_finished: false,
        _place: Some(place),
    };
    let body = Body::from_stream(stream::try_unfold(track, FileOfTrack::part));
    let (_, media_type) = format.names();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, body).into_response())
}

struct FileOfTrack {
    store: Arc<dyn Store>,
    query: PositionQuery,
    /// The page to be written next; `None` when it has to be read first.
    rows: Option<Vec<PositionRow>>,
    writer: Box<dyn RowWriter>,
    output: Taken,
    /// The end was written with the last page.
    is_finished: bool,
    _place: Option<OwnedSemaphorePermit>,
}

impl FileOfTrack {
    /// The next part of the file. An error ends the connection in the middle of the answer, so that
    /// nobody takes half a file for a whole one.
    async fn part(mut self) -> anyhow::Result<Option<(Bytes, Self)>> {
        if self.is_finished {
            return Ok(None);
        }
        let rows = match self.rows.take() {
            Some(rows) => rows,
            None => {
                let read = self.store.positions(&self.query).await;
                read.inspect_err(|error| tracing::warn!(%error, "a track as a file was cut off"))?
            }
        };
        for row in &rows {
            self.writer.write(&Row::from(row))?;
        }
        match last_of_full_page(&rows, &self.query).map(PositionRow::key) {
            Some(last) => {
                self.query.after = Some(last);
                self.writer.flush()?;
            }
            None => {
                self.is_finished = true;
                self.writer.finish()?;
            }
        }
        Ok(Some((self.output.take().into(), self)))
    }
}

/// `attachment; filename="track-13800000001-20251125T000000Z-20251126T000000Z.csv"`: of digits,
/// letters and signs that are safe everywhere.
fn file_name(query: &PositionQuery, format: Format) -> HeaderValue {
    let short = |at: Timestamp| {
        let text = clock::rfc3339(Timestamp::from_seconds(at.millis().div_euclid(1_000)));
        text.replace(".000Z", "Z").replace(['-', ':'], "")
    };
    let phone = query.terminal.map(|t| t.to_string()).unwrap_or_default();
    let (ending, _) = format.names();
    let name = format!(
        "attachment; filename=\"track-{phone}-{}-{}.{ending}\"",
        short(query.from),
        short(query.to)
    );
    HeaderValue::try_from(name).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{StreamExt as _, stream::BoxStream};
    use storage::{
        embedded::EmbeddedStore,
        store::{Cursor, PositionBatch},
    };

    use super::*;
    use crate::tracks::row::tests::stored;

    async fn write(store: &EmbeddedStore, seconds: std::ops::Range<i64>) {
        let batch = PositionBatch {
            cursor: Cursor::default(),
            positions: seconds
                .map(|second| stored(second, 37.87, 112.55))
                .collect(),
            quarantined: Vec::new(),
        };
        store.write_positions(&batch).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_is_read_page_by_page_as_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(folder.path()).unwrap());
        write(&store, 0..95).await;
        let query = PositionQuery {
            terminal: Some("13800000001".parse().unwrap()),
            from: Timestamp(0),
            to: Timestamp(i64::MAX),
            within: None,
            after: None,
            limit: 10,
        };
        let output = Taken::default();
        let writer = Format::Csv.writer(output.clone(), Duration::ZERO).unwrap();
        let track = FileOfTrack {
            store: Arc::<EmbeddedStore>::clone(&store),
            query,
            rows: None,
            writer,
            output,
            is_finished: false,
            _place: None,
        };
        let mut parts: BoxStream<'_, _> = stream::try_unfold(track, FileOfTrack::part).boxed();
        let mut lines = Vec::new();
        while let Some(part) = parts.next().await {
            let part = part.unwrap();
            lines.push(part.iter().filter(|byte| **byte == b'\n').count());
            if lines.len() == 2 {
                // What comes now is still found: nothing was read ahead.
                write(&store, 95..105).await;
            }
        }
        // The first one has the line of names; the last page is not full.
        assert_eq!(lines, [11, 10, 10, 10, 10, 10, 10, 10, 10, 10, 5]);
    }

    #[test]
    fn the_name_of_a_file_is_safe() {
        let query = PositionQuery {
            terminal: Some("13800000001".parse().unwrap()),
            from: Timestamp(1_764_028_800_999),
            to: Timestamp(i64::MAX),
            within: None,
            after: None,
            limit: 1,
        };
        assert_eq!(
            file_name(&query, Format::Gpx).to_str().unwrap(),
            "attachment; filename=\"track-13800000001-20251125T000000Z-99991231T235959.999Z.gpx\""
        );
    }
}
