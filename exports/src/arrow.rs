//! Arrow IPC (file format), in the types that every reader knows; provenance in the footer.

use std::io::Write;

use polars::prelude::{CompatLevel, DataFrame, IpcWriter, SerWriter};

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
    // The oldest level avoids string views, which older readers refuse. No compression inside: the official JavaScript
    // reader has no codec (apache-arrow 21.2.0); a client that wants fewer bytes asks for a content coding.
    let mut writer = IpcWriter::new(out)
        .with_compression(None)
        .with_compat_level(CompatLevel::oldest())
        .batched(&columnar_schema(columns), columns.iter().map(|_| Default::default()).collect())
        .map_err(Error::Encode)?;
    writer.set_custom_metadata(provenance.pairs());
    let mut rows = 0;
    for batch in batches {
        let batch = columnar(&batch?, columns)?;
        writer.write_batch(&batch).map_err(Error::Encode)?;
        rows += batch.height() as u64;
    }
    writer.finish().map_err(Error::Encode)?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use polars::prelude::{DataType, IpcReader, SerReader};

    use crate::{Format, samples, write};

    #[test]
    fn bytes_are_plain_for_readers_that_have_no_codec() {
        let text = "as it stands, ".repeat(100);
        let (provenance, columns, frame) = samples::text(&text);
        let mut bytes = Vec::new();
        write(Format::Arrow, &provenance, &columns, [Ok(frame)], &mut bytes).unwrap();
        assert!(bytes.windows(text.len()).any(|window| window == text.as_bytes()));
    }

    #[test]
    fn values_survive_and_no_row_still_has_the_schema() {
        let (provenance, columns, frame) = samples::all();
        for (frame, height) in [(frame.clone(), 3), (frame.clear(), 0)] {
            let mut bytes = Vec::new();
            write(Format::Arrow, &provenance, &columns, [Ok(frame)], &mut bytes).unwrap();
            let back = IpcReader::new(Cursor::new(bytes)).finish().unwrap();
            assert_eq!(back.height(), height);
            assert_eq!(*back.column("net").unwrap().dtype(), DataType::Decimal(18, 2));
            assert_eq!(back.width(), 8);
        }
    }
}
