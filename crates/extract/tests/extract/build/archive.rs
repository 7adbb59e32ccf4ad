//! Zip archives, honest and not.

use std::io::{Cursor, Write};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// An archive of deflated entries.
pub(crate) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Every entry of the directory with this name, to be changed at its offset: the central header's
/// fields stand 42 bytes before its name ends its fixed part.
pub(crate) fn patch_directory(zip: &mut [u8], change: impl Fn(&mut [u8])) {
    let mut at = 0;
    while at + 46 <= zip.len() {
        if zip[at..].starts_with(b"PK\x01\x02") {
            change(&mut zip[at..at + 46]);
            at += 46;
        } else {
            at += 1;
        }
    }
}

/// The archive with its directory listing the entry named `name` `times` more, under other names of
/// the same length, all with the same bytes.
pub(crate) fn overlapping(zip: &[u8], name: &str, times: usize) -> Vec<u8> {
    let end = zip
        .windows(4)
        .rposition(|window| window == b"PK\x05\x06")
        .unwrap();
    let start = u32::from_le_bytes(zip[end + 16..end + 20].try_into().unwrap()) as usize;
    let directory = &zip[start..end];
    let named = directory
        .windows(name.len())
        .position(|window| window == name.as_bytes())
        .unwrap();
    let header = &directory[named - 46..named + name.len()];
    let mut longer = directory.to_vec();
    for number in 0..times {
        let mut copy = header.to_vec();
        let digits = format!("{number:05}");
        copy[46..51].copy_from_slice(digits.as_bytes());
        longer.extend_from_slice(&copy);
    }
    let count = u16::from_le_bytes(zip[end + 8..end + 10].try_into().unwrap()) as usize + times;
    let mut tail = zip[end..].to_vec();
    let count = u16::try_from(count).unwrap().to_le_bytes();
    tail[8..10].copy_from_slice(&count);
    tail[10..12].copy_from_slice(&count);
    tail[12..16].copy_from_slice(&u32::try_from(longer.len()).unwrap().to_le_bytes());
    [&zip[..start], &longer, &tail].concat()
}
