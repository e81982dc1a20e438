//! Parquet: decimals in eight bytes, UTC timestamps, zstd, provenance in the key-value metadata.
//!
//! Polars' own writer encodes the columns of a row group side by side, but compresses one page after the other, which
//! is most of the work. Here whole row groups are encoded side by side, and written in their order.

use std::io::Write;
use std::num::NonZeroUsize;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use polars::io::parquet::write::get_encodings;
use polars::prelude::{
    CompatLevel, DataFrame, IpcWriter, KeyValueMetadata, ParquetCompression, ParquetWriter, PolarsResult,
    SchemaExt as _, SerWriter,
};
use polars_parquet::write::{
    CompressedPage, CompressionOptions, Encoding, ParquetType, StatisticsOptions, Version, WriteOptions,
    array_to_columns, compress,
};

use crate::column::{Column, columnar_schema};
use crate::error::{Error, Result};
use crate::provenance::Provenance;
use crate::rows::columnar;

pub(crate) fn write(
    provenance: &Provenance,
    columns: &[Column],
    batches: impl Iterator<Item = Result<DataFrame>>,
    out: &mut impl Write,
) -> Result<u64> {
    let mut pairs = provenance.pairs();
    pairs.push((ARROW_SCHEMA.to_owned(), arrow_schema(columns)?));
    let mut writer = ParquetWriter::new(out)
        .with_compression(ParquetCompression::Zstd(None))
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(pairs)))
        .batched(&columnar_schema(columns))
        .map_err(Error::Encode)?;
    let encoder = Encoder::new(columns, writer.parquet_schema().fields());
    let (mut batches, mut rows) = (batches, 0);
    loop {
        // Each batch becomes a row group: what is buffered is one for each thread.
        let group: Vec<DataFrame> = batches.by_ref().take(encoder.threads).collect::<Result<_>>()?;
        if group.is_empty() {
            break;
        }
        for (height, pages) in encoder.encode(&group)? {
            writer.write_row_group(height, &pages).map_err(Error::Encode)?;
            rows += height;
        }
    }
    writer.finish().map_err(Error::Encode)?;
    Ok(rows)
}

/// Most row groups that are encoded side by side: each takes memory.
const MOST_THREADS: usize = 4;

/// How pages are made; the writer's own settings must say the same.
fn options() -> WriteOptions {
    WriteOptions {
        statistics: StatisticsOptions::default(),
        compression: CompressionOptions::Zstd(None),
        version: Version::V1,
        data_page_size: None,
    }
}

/// A row group as it will stand in the file: its rows, and the pages of each column.
type RowGroup = (u64, Vec<Vec<CompressedPage>>);

/// Makes row groups of batches.
struct Encoder<'a> {
    columns: &'a [Column],
    types: Vec<ParquetType>,
    encodings: Vec<Vec<Encoding>>,
    threads: usize,
}

impl<'a> Encoder<'a> {
    fn new(columns: &'a [Column], types: &[ParquetType]) -> Self {
        let encodings = get_encodings(&columnar_schema(columns).to_arrow(CompatLevel::newest())).to_vec();
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS);
        Self { columns, types: types.to_vec(), encodings, threads }
    }

    /// Encodes batches, each on a thread of its own; in their order.
    fn encode(&self, batches: &[DataFrame]) -> Result<Vec<RowGroup>> {
        if let [batch] = batches {
            return Ok(vec![self.row_group(batch)?]);
        }
        thread::scope(|scope| {
            let workers: Vec<_> = batches.iter().map(|batch| scope.spawn(|| self.row_group(batch))).collect();
            // A panic in an encoder is a bug; it is passed on.
            let done = workers.into_iter().map(|it| it.join().unwrap_or_else(|it| std::panic::resume_unwind(it)));
            done.collect()
        })
    }

    fn row_group(&self, batch: &DataFrame) -> Result<RowGroup> {
        let mut batch = columnar(batch, self.columns)?;
        // One chunk is one row group.
        batch.rechunk_mut();
        let pages: PolarsResult<Vec<_>> = batch
            .iter_chunks(CompatLevel::newest(), false)
            .flat_map(|chunk| chunk.into_arrays())
            .zip(self.types.iter().zip(&self.encodings))
            .map(|(array, (kind, encodings))| {
                let mut column = Vec::new();
                for pages in array_to_columns(array, kind.clone(), options(), encodings)? {
                    for page in pages {
                        column.push(compress(page?, Vec::new(), options().compression)?);
                    }
                }
                Ok(column)
            })
            .collect();
        Ok((batch.height() as u64, pages.map_err(Error::Encode)?))
    }
}

/// Key under which Arrow's readers look for the types that a column had before it became Parquet.
const ARROW_SCHEMA: &str = "ARROW:schema";
/// What an Arrow file begins with, before its first message: the schema.
const ARROW_MAGIC: usize = 8;

/// The columns' Arrow schema in types that every reader knows. Left to itself polars names string views there, and
/// pyarrow follows it into columns for which it has hardly a function (pandas with Arrow types fails on them).
fn arrow_schema(columns: &[Column]) -> Result<String> {
    let mut file = Vec::new();
    IpcWriter::new(&mut file)
        .with_compat_level(CompatLevel::oldest())
        .batched(&columnar_schema(columns), columns.iter().map(|_| Default::default()).collect())
        .and_then(|mut writer| writer.finish())
        .map_err(Error::Encode)?;
    // A message is a mark of four bytes, its length in four, and that many bytes.
    let message = file.get(ARROW_MAGIC..).unwrap_or_default();
    let length = message.get(4..8).and_then(|it| it.try_into().ok()).map_or(0, u32::from_le_bytes);
    Ok(STANDARD.encode(message.get(..8 + length as usize).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use polars::prelude::{DataFrame, DataType, ParquetReader, SerReader, TimeUnit, TimeZone};

    use crate::{Format, samples, write};

    fn read_back(empty: bool) -> DataFrame {
        let (provenance, columns, frame) = samples::all();
        let frame = if empty { frame.clear() } else { frame };
        let mut bytes = Vec::new();
        write(Format::Parquet, &provenance, &columns, [Ok(frame)], &mut bytes).unwrap();
        ParquetReader::new(Cursor::new(bytes)).finish().unwrap()
    }

    #[test]
    fn types_and_values_survive() {
        let frame = read_back(false);
        assert_eq!(frame.height(), 3);
        assert_eq!(*frame.column("net").unwrap().dtype(), DataType::Decimal(18, 2));
        assert_eq!(*frame.column("day").unwrap().dtype(), DataType::Date);
        let utc = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
        assert_eq!(*frame.column("at").unwrap().dtype(), utc);
        assert_eq!(frame.column("net").unwrap().get(0).unwrap().to_string(), "1234.50");
        assert_eq!(frame.column("net").unwrap().get(1).unwrap().to_string(), "-0.05");
        assert!(frame.column("store").unwrap().get(2).unwrap().is_null());
    }

    #[test]
    fn no_row_still_has_the_schema() {
        let (empty, full) = (read_back(true), read_back(false));
        assert_eq!(empty.height(), 0);
        assert_eq!(empty.schema(), full.schema());
    }

    #[test]
    fn the_provenance_is_in_the_file() {
        let (provenance, columns, frame) = samples::all();
        let mut bytes = Vec::new();
        write(Format::Parquet, &provenance, &columns, [Ok(frame)], &mut bytes).unwrap();
        let metadata = ParquetReader::new(Cursor::new(bytes)).get_metadata().unwrap().key_value_metadata().clone();
        let pairs = metadata.unwrap();
        let value = |key: &str| pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone());
        assert_eq!(value("tributary.snapshot").as_deref(), Some("7"));
        assert_eq!(value("tributary.state").as_deref(), Some("final"));
        assert_eq!(value("tributary.revision").as_deref(), Some("2"));
    }

    #[test]
    fn small_frames_share_a_row_group_and_large_ones_are_cut() {
        let (provenance, columns, frame) = samples::all();
        let mut large = frame.clone();
        for _ in 0..99 {
            large.vstack_mut(&frame).unwrap();
        }
        let frames = (0..1_000).map(|_| Ok(large.clone()));
        let mut bytes = Vec::new();
        let written = write(Format::Parquet, &provenance, &columns, frames, &mut bytes).unwrap();
        assert_eq!(written.rows, 300_000);
        let mut reader = ParquetReader::new(Cursor::new(bytes));
        assert_eq!(reader.get_metadata().unwrap().row_groups.len(), 3);
    }
}
