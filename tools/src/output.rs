//! Lines for files that several tasks write, and times as they stand in them.

use std::{
    fmt, fs, io,
    io::Write,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A shared sink of lines.
#[derive(Clone)]
pub struct Output(Arc<Mutex<Box<dyn Write + Send>>>);

impl Output {
    /// Lines go to this writer.
    #[must_use]
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(writer))))
    }

    /// Lines go to this file, which is made new.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self::new(io::BufWriter::new(fs::File::create(path)?)))
    }

    /// Writes one line.
    ///
    /// # Errors
    /// What the writer says.
    pub fn line(&self, line: &str) -> io::Result<()> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(line.as_bytes())?;
        writer.write_all(b"\n")
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    /// What the writer says.
    pub fn flush(&self) -> io::Result<()> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .flush()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

/// Seconds since 1970 as RFC 3339 in UTC; empty for a time that no calendar has.
#[must_use]
pub fn rfc3339(unix_s: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix_s)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// Seconds since 1970, rounded down, as RFC 3339 in UTC.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float to integer cast saturates"
)]
pub fn rfc3339_of(unix_s: f64) -> String {
    rfc3339(unix_s.floor() as i64)
}

/// Header of a list of acknowledged positions.
pub const ACKNOWLEDGED_HEADER: &str = "phone,event_time,lat,lon";

/// One acknowledged position: phone without padding, fix time in UTC, degrees of WGS-84.
#[must_use]
pub fn acknowledged_line(phone: &str, fixed_at: i64, latitude: i32, longitude: i32) -> String {
    let (lat, lon) = (f64::from(latitude) / 1e6, f64::from(longitude) / 1e6);
    format!("{phone},{},{lat:.6},{lon:.6}", rfc3339(fixed_at))
}
