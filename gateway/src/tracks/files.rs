//! Rows as files: CSV, GPX 1.1, GeoJSON (RFC 7946), Parquet. Each writer takes row after row and
//! holds a bounded number of them.

mod csv;
mod geojson;
mod gpx;
mod parquet;

use std::{
    io::{self, Write},
    mem,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

pub(crate) use self::csv::harmless;
use super::row::Row;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// All that is stored, with a line of names.
    Csv,
    /// Tracks: one a terminal, in segments between gaps.
    Gpx,
    /// Tracks: a line between two gaps is a feature.
    Geojson,
    /// All that is stored, in typed columns, compressed.
    Parquet,
}

impl Format {
    /// The end of a file's name, and its media type.
    #[must_use]
    pub const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Csv => ("csv", "text/csv; charset=utf-8; header=present"),
            Self::Gpx => ("gpx", "application/gpx+xml"),
            Self::Geojson => ("geojson", "application/geo+json"),
            Self::Parquet => ("parquet", "application/vnd.apache.parquet"),
        }
    }

    /// It has tracks: rows are to come terminal after terminal, and only usable fixes are taken.
    #[must_use]
    pub const fn is_of_tracks(self) -> bool {
        matches!(self, Self::Gpx | Self::Geojson)
    }

    /// A writer into `output`, which leaves lines open at gaps longer than `gap`.
    ///
    /// # Errors
    /// When the beginning of the file cannot be written.
    pub fn writer(
        self,
        output: impl Write + Send + 'static,
        gap: Duration,
    ) -> io::Result<Box<dyn RowWriter>> {
        Ok(match self {
            Self::Csv => Box::new(csv::CsvWriter::new(output)?),
            Self::Gpx => Box::new(gpx::GpxWriter::new(output, gap)?),
            Self::Geojson => Box::new(geojson::GeojsonWriter::new(output, gap)?),
            Self::Parquet => Box::new(parquet::ParquetWriter::new(output)?),
        })
    }
}

/// Writes a file row by row.
pub trait RowWriter: Send {
    /// One more row; whether it has a place in such a file.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&mut self, row: &Row) -> io::Result<bool>;

    /// Everything so far but what must wait for its end, to the output.
    ///
    /// # Errors
    /// When it cannot be written.
    fn flush(&mut self) -> io::Result<()>;

    /// The end of the file.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(&mut self) -> io::Result<()>;
}

/// An output whose bytes can be taken while a writer holds it.
#[derive(Clone, Debug, Default)]
pub struct Taken(Arc<Mutex<Vec<u8>>>);

impl Taken {
    /// What was written since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        mem::take(&mut self.0.lock())
    }
}

impl Write for Taken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) fn written(format: Format, gap: Duration, rows: &[Row]) -> Vec<u8> {
    let output = Taken::default();
    let mut writer = format.writer(output.clone(), gap).unwrap();
    for row in rows {
        writer.write(row).unwrap();
    }
    writer.finish().unwrap();
    output.take()
}
