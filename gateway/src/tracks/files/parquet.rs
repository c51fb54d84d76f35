//! Parquet: the columns of the CSV with types: times are UTC in milliseconds, flags and digests
//! unsigned numbers in 64 bits, what is unknown is null. A row group is written when it is full, so
//! that one is in memory.

use std::{
    io::{self, Write},
    mem,
    sync::Arc,
};

use parquet::{
    basic::Compression,
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};

use super::{Row, RowWriter};

/// Rows of a row group: some 10 MB in memory, some 1 MB in the file.
const GROUP_ROWS: usize = 65_536;

const SCHEMA: &str = "message positions {
    required binary phone (STRING);
    optional int64 event_time (TIMESTAMP(MILLIS, true));
    optional double lat;
    optional double lon;
    optional double speed_kmh;
    optional int32 heading_deg;
    optional int32 altitude_m;
    optional boolean positioned;
    optional int64 alarm;
    optional int64 status;
    optional double odometer_km;
    optional int32 satellites;
    optional binary unit_grid (STRING);
    optional boolean backlog;
    optional int64 receive_time (TIMESTAMP(MILLIS, true));
    required int64 digest;
    optional binary quarantine (STRING);
    optional int64 vehicle_signals;
    optional int32 io;
    optional int64 vendor;
}";

pub(super) struct ParquetWriter<W: Write + Send> {
    /// `None` after the end.
    file: Option<SerializedFileWriter<W>>,
    group: Vec<Row>,
}

impl<W: Write + Send> ParquetWriter<W> {
    pub(super) fn new(output: W) -> io::Result<Self> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by("gridtrace".into())
            .build();
        let file = SerializedFileWriter::new(output, schema, Arc::new(properties))?;
        Ok(Self {
            file: Some(file),
            group: Vec::new(),
        })
    }

    fn write_group(&mut self) -> io::Result<()> {
        let rows = mem::take(&mut self.group);
        let Some(file) = self.file.as_mut().filter(|_| !rows.is_empty()) else {
            return Ok(());
        };
        let mut group = file.next_row_group()?;
        write_columns(&mut group, &rows)?;
        group.close()?;
        Ok(())
    }
}

impl<W: Write + Send> RowWriter for ParquetWriter<W> {
    fn write(&mut self, row: &Row) -> io::Result<bool> {
        self.group.push(row.clone());
        if self.group.len() >= GROUP_ROWS {
            self.write_group()?;
        }
        Ok(true)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Row groups of one page each would be a poor file.
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.write_group()?;
        if let Some(mut file) = self.file.take() {
            file.finish()?;
            file.inner_mut().flush()?;
        }
        Ok(())
    }
}

/// In the order of the schema: the types are compared with it, the names cannot be.
fn write_columns<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    rows: &[Row],
) -> Result<(), ParquetError> {
    let text = |text: &String| ByteArray::from(text.as_str());
    let mut columns = Columns { group, rows };
    columns.required::<ByteArrayType>(|row| text(&row.phone))?;
    columns.optional::<Int64Type>(|row| row.fixed_at.map(|at| at.millis()))?;
    columns.optional::<DoubleType>(|row| row.lat)?;
    columns.optional::<DoubleType>(|row| row.lon)?;
    columns.optional::<DoubleType>(|row| row.speed_kmh)?;
    columns.optional::<Int32Type>(|row| row.heading_deg.map(i32::from))?;
    columns.optional::<Int32Type>(|row| row.altitude_m.map(i32::from))?;
    columns.optional::<BoolType>(|row| row.positioned)?;
    columns.optional::<Int64Type>(|row| row.alarm.map(i64::from))?;
    columns.optional::<Int64Type>(|row| row.status.map(i64::from))?;
    columns.optional::<DoubleType>(|row| row.odometer_km)?;
    columns.optional::<Int32Type>(|row| row.satellites.map(i32::from))?;
    columns.optional::<ByteArrayType>(|row| row.unit_grid.as_ref().map(text))?;
    columns.optional::<BoolType>(|row| row.backlog)?;
    columns.optional::<Int64Type>(|row| row.received_at.map(|at| at.millis()))?;
    columns.required::<Int64Type>(|row| i64::from(row.digest))?;
    columns.optional::<ByteArrayType>(|row| row.quarantine.as_ref().map(text))?;
    columns.optional::<Int64Type>(|row| row.vehicle_signals.map(i64::from))?;
    columns.optional::<Int32Type>(|row| row.io.map(i32::from))?;
    columns.optional::<Int64Type>(|row| row.vendor.map(i64::from))
}

struct Columns<'a, 'b, W: Write + Send> {
    group: &'a mut SerializedRowGroupWriter<'b, W>,
    rows: &'a [Row],
}

impl<W: Write + Send> Columns<'_, '_, W> {
    fn required<T: DataType>(&mut self, value: impl Fn(&Row) -> T::T) -> Result<(), ParquetError> {
        let values: Vec<T::T> = self.rows.iter().map(value).collect();
        self.write::<T>(&values, None)
    }

    fn optional<T: DataType>(
        &mut self,
        value: impl Fn(&Row) -> Option<T::T>,
    ) -> Result<(), ParquetError> {
        let mut values = Vec::new();
        let mut levels = Vec::with_capacity(self.rows.len());
        for value in self.rows.iter().map(value) {
            // Level 1 is a value, level 0 is null.
            levels.push(i16::from(value.is_some()));
            values.extend(value);
        }
        self.write::<T>(&values, Some(&levels))
    }

    fn write<T: DataType>(
        &mut self,
        values: &[T::T],
        levels: Option<&[i16]>,
    ) -> Result<(), ParquetError> {
        let missing = || ParquetError::General("the schema has fewer columns".into());
        let mut column = self.group.next_column()?.ok_or_else(missing)?;
        column.typed::<T>().write_batch(values, levels, None)?;
        column.close()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::{Field, RowAccessor},
    };

    use super::*;
    use crate::tracks::{
        files::{Format, written},
        row::tests::stored,
    };

    fn read(bytes: Vec<u8>) -> SerializedFileReader<bytes::Bytes> {
        SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap()
    }

    #[test]
    fn values_come_back_in_the_columns_that_their_names_say() {
        let full = Row::from(&stored(0, 37.870_001, 112.55));
        let kept_apart = Row {
            phone: "13800000002".into(),
            quarantine: Some("no_time".into()),
            ..Row::default()
        };
        let file = read(written(
            Format::Parquet,
            Duration::ZERO,
            &[full, kept_apart],
        ));
        let rows: Vec<_> = file
            .get_row_iter(None)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let shown = |row: &parquet::record::Row| {
            row.get_column_iter()
                .map(|(name, field)| format!("{name}={field}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            shown(&rows[0]),
            "phone=\"13800000001\" event_time=2025-11-25 00:00:00.000 +00:00 lat=37.870001 \
             lon=112.55 speed_kmh=36.5 heading_deg=90 altitude_m=-5 positioned=true \
             alarm=4294967295 status=3 odometer_km=123.4 satellites=9 \
             unit_grid=\"14010500100101\" backlog=false \
             receive_time=2025-11-25 00:00:01.500 +00:00 digest=7 quarantine=null \
             vehicle_signals=4294967295 io=65535 vendor=0"
        );
        assert_eq!(rows[0].get_timestamp_millis(1).unwrap(), 1_764_028_800_000);
        let unknown = rows[1]
            .get_column_iter()
            .filter(|(_, field)| **field == Field::Null);
        assert_eq!(unknown.count(), 17);
        assert_eq!(rows[1].get_string(16).unwrap(), "no_time");
    }

    #[test]
    fn a_row_group_is_bounded() {
        let rows: Vec<_> = (0..65_537)
            .map(|second| Row::from(&stored(second, 37.87, 112.55)))
            .collect();
        let bytes = written(Format::Parquet, Duration::ZERO, &rows);
        let file = read(bytes);
        let groups = file.metadata().row_groups();
        let counts: Vec<_> = groups.iter().map(|group| group.num_rows()).collect();
        assert_eq!(counts, [65_536, 1]);
    }

    #[test]
    fn a_file_without_rows_is_whole() {
        let file = read(written(Format::Parquet, Duration::ZERO, &[]));
        assert_eq!(file.metadata().file_metadata().num_rows(), 0);
    }
}
