//! Rows of values with a comma, semicolon or tab between them.

use crate::{encoding, refusal::Refusal, rows::Rows, text::Writer};

/// How much of a file is looked at for what stands between its values, in bytes.
const LOOKED_AT: usize = 16 << 10;

/// Writes the rows of a CSV file; rows may be of different lengths, quotes may be missing.
pub(crate) fn write(bytes: &[u8], writer: &mut Writer) -> Result<(), Refusal> {
    let text = encoding::decode(bytes)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter(&text))
        .from_reader(text.as_bytes());
    let mut rows = Rows::new();
    let mut record = csv::StringRecord::new();
    loop {
        let more = reader.read_record(&mut record);
        if !more
            .map_err(|error| Refusal::invalid(format!("The CSV file cannot be read: {error}.")))?
        {
            return Ok(());
        }
        rows.row(record.iter().enumerate(), writer)?;
    }
}

/// The separator that cuts the first lines into the same number of values, more than one.
fn delimiter(text: &str) -> u8 {
    let mut end = text.len().min(LOOKED_AT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = &text[..end];
    let score = |separator: u8| {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .from_reader(head.as_bytes());
        let widths: Vec<usize> = reader
            .byte_records()
            .take(20)
            .map_while(Result::ok)
            .map(|record| record.len())
            .collect();
        let first = widths.first().copied().unwrap_or(0);
        let alike = widths.iter().filter(|width| **width == first).count();
        if first > 1 { (alike, first) } else { (0, 0) }
    };
    let best = [b',', b';', b'\t', b'|']
        .into_iter()
        .rev()
        .max_by_key(|separator| score(*separator));
    match best {
        Some(best) if score(best).0 > 0 => best,
        _ => b',',
    }
}
