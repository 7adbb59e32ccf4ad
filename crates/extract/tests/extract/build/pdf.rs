//! PDF documents.

use std::io::Write;

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// A PDF of numbered objects (from 1; the first is the catalogue), with a table of where they stand.
pub(crate) fn pdf(objects: &[Vec<u8>], trailer: &str) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n%\xE2\xE3\xCF\xD3\n".to_vec();
    let mut offsets = Vec::new();
    for (number, object) in (1..).zip(objects) {
        offsets.push(bytes.len());
        writeln!(bytes, "{number} 0 obj").unwrap();
        bytes.extend_from_slice(object);
        bytes.extend_from_slice(b"\nendobj\n");
    }
    let table = bytes.len();
    writeln!(bytes, "xref\n0 {}\n0000000000 65535 f ", offsets.len() + 1).unwrap();
    for offset in offsets {
        writeln!(bytes, "{offset:010} 00000 n ").unwrap();
    }
    writeln!(
        bytes,
        "trailer\n<< /Size {} /Root 1 0 R {trailer} >>\nstartxref\n{table}\n%%EOF",
        objects.len() + 1
    )
    .unwrap();
    bytes
}

/// An object with these bytes behind its dictionary.
pub(crate) fn stream(dict: &str, bytes: &[u8]) -> Vec<u8> {
    let mut object = format!("<< {dict} /Length {} >>\nstream\n", bytes.len()).into_bytes();
    object.extend_from_slice(bytes);
    object.extend_from_slice(b"\nendstream");
    object
}

/// Bytes as deflate makes them, in the wrapping of zlib.
pub(crate) fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    zip.start_file("a", options).unwrap();
    zip.write_all(bytes).unwrap();
    let zip = zip.finish().unwrap().into_inner();
    // The raw stream stands between the local header, whose name is one byte long, and the directory.
    let extra = usize::from(u16::from_le_bytes([zip[28], zip[29]]));
    let end = zip
        .windows(4)
        .position(|window| window == b"PK\x01\x02")
        .unwrap();
    let mut end = end;
    if zip[6] & 8 != 0 {
        end -= 16;
    }
    let (mut low, mut high) = (1_u32, 0_u32);
    // No sum of so many bytes overflows.
    for bytes in bytes.chunks(5000) {
        for byte in bytes {
            low += u32::from(*byte);
            high += low;
        }
        (low, high) = (low % 65_521, high % 65_521);
    }
    [
        &[0x78, 0x9C][..],
        &zip[31 + extra..end],
        &(high << 16 | low).to_be_bytes(),
    ]
    .concat()
}

/// A document of pages with these content streams; font `/F1` is Helvetica, and `resources` are added.
pub(crate) fn pages(contents: &[&[u8]], resources: &str, more: &[Vec<u8>]) -> Vec<u8> {
    let first = 4 + more.len();
    let kids: String = (0..contents.len())
        .map(|page| format!("{} 0 R ", first + 2 * page))
        .collect();
    let mut objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        format!(
            "<< /Type /Pages /Kids [{kids}] /Count {} /MediaBox [0 0 612 792] \
             /Resources << /Font << /F1 3 0 R >> {resources} >> >>",
            contents.len()
        )
        .into_bytes(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
            .to_vec(),
    ];
    objects.extend_from_slice(more);
    for (page, content) in contents.iter().enumerate() {
        let content_at = first + 2 * page + 1;
        objects.push(
            format!("<< /Type /Page /Parent 2 0 R /Contents {content_at} 0 R >>").into_bytes(),
        );
        objects.push(stream("", content));
    }
    pdf(&objects, "")
}

/// Lines of text from the top of a page on.
pub(crate) fn lines(lines: &[&str]) -> Vec<u8> {
    let mut content = b"BT /F1 12 Tf 14 TL 72 720 Td\n".to_vec();
    for line in lines {
        writeln!(content, "({line}) Tj T*").unwrap();
    }
    content.extend_from_slice(b"ET");
    content
}
