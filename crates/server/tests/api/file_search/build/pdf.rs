//! PDF documents.

use std::io::Write;

/// A document of numbered objects, from 1, the first of which is the catalogue.
pub(crate) fn pdf(objects: &[Vec<u8>], trailer: &str) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n".to_vec();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (number, object) in (1..).zip(objects) {
        table.push_str(&format!("{:010} 00000 n \n", bytes.len()));
        writeln!(bytes, "{number} 0 obj").unwrap();
        bytes.extend(object);
        bytes.extend(b"\nendobj\n");
    }
    let (start, size) = (bytes.len(), objects.len() + 1);
    write!(
        bytes,
        "{table}trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF"
    )
    .unwrap();
    bytes
}

/// An object with bytes.
pub(crate) fn stream(dict: &str, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    let head = format!("<< {dict} /Length {length} >>\nstream\n");
    [head.as_bytes(), bytes, b"\nendstream"].concat()
}

/// A document of one page. Its font is `/F1`, object 3; the object that it may draw is `/Own`, 6.
pub(crate) fn page(content: &str, own: Option<Vec<u8>>) -> Vec<u8> {
    let text = |text: &str| text.as_bytes().to_vec();
    let mut objects = vec![
        text("<< /Type /Catalog /Pages 2 0 R >>"),
        text("<< /Type /Pages /Kids [4 0 R] /Count 1 /MediaBox [0 0 612 792] >>"),
        text("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"),
        text(
            "<< /Type /Page /Parent 2 0 R /Contents 5 0 R \
             /Resources << /Font << /F1 3 0 R >> /XObject << /Own 6 0 R >> >> >>",
        ),
        stream("", content.as_bytes()),
    ];
    objects.extend(own);
    pdf(&objects, "")
}
