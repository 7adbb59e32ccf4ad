//! The ways in which a file says where its objects stand.

use super::{Lot, NUMBERS, latin, unlatin};
use crate::{build::pdf::stream, fuzz::markup::pieces};

/// A file that keeps its objects in object streams, and their places in a cross reference stream.
pub(super) fn in_object_streams(objects: &[Vec<u8>], trailer: &str, lot: &mut Lot) -> Vec<u8> {
    let holder = objects.len() + 1;
    let table = objects.len() + 2;
    let (mut index, mut held, mut count) = (String::new(), Vec::new(), 0);
    let mut file = b"%PDF-1.7\n".to_vec();
    let mut entries = vec![(0, 0, 0)];
    for (number, object) in (1..).zip(objects) {
        if object.windows(7).any(|window| window == b"stream\n") {
            entries.push((1, file.len(), 0));
            file.extend(format!("{number} 0 obj\n").bytes());
            file.extend_from_slice(object);
            file.extend_from_slice(b"\nendobj\n");
        } else {
            entries.push((2, holder, count));
            index += &format!("{number} {} ", held.len());
            held.extend_from_slice(object);
            held.push(b' ');
            count += 1;
        }
    }
    let mut first = index.len();
    if lot.one_in(6) {
        index = pieces(&index, NUMBERS, &[' '], lot);
    }
    if lot.one_in(6) {
        (count, first) = (count + lot.size(1 << 30), first + lot.below(99));
    }
    // A stream of objects may extend another, or itself.
    let extends = if lot.one_in(4) {
        format!("/Extends {} 0 R", lot.pick(&[&holder, &table, &1]))
    } else {
        String::new()
    };
    entries.push((1, file.len(), 0));
    let body = [index.as_bytes(), &held].concat();
    let dict = format!("/Type /ObjStm /N {count} /First {first} {extends}");
    file.extend(format!("{holder} 0 obj\n").bytes());
    file.extend(stream(&dict, &body));
    file.extend_from_slice(b"\nendobj\n");
    let start = file.len();
    entries.push((1, start, 0));
    if lot.one_in(4) {
        let at = lot.below(entries.len());
        entries[at] = (lot.below(4), lot.size(1 << 30), lot.below(70_000));
    }
    let mut rows: Vec<u8> = Vec::new();
    for (kind, at, number) in &entries {
        rows.push(u8::try_from(*kind).unwrap());
        rows.extend(u32::try_from(*at).unwrap().to_be_bytes());
        rows.extend(u32::try_from(*number).unwrap().to_be_bytes());
    }
    let widths = [
        "[1 4 4]",
        "[1 4 4]",
        "[1 4 4]",
        "[0 4 4]",
        "[9 9 9]",
        "[-1 4 4]",
        "[2147483647 4 4]",
        "[1 4]",
    ];
    let widths = lot.pick(&widths);
    let range = [
        "",
        "",
        "",
        "/Index [0 2147483647]",
        "/Index [-5 9]",
        "/Index [4294967290 20]",
        "/Prev 15",
    ];
    let range = lot.pick(&range);
    let dict = format!(
        "/Type /XRef /W {widths} /Size {} {range} /Root 1 0 R {trailer}",
        entries.len()
    );
    file.extend(format!("{table} 0 obj\n").bytes());
    file.extend(stream(&dict, &rows));
    file.extend(format!("\nendobj\nstartxref\n{start}\n%%EOF").bytes());
    file
}

/// A file that was changed by adding to it: sections of its table that follow one another, in circles too.
pub(super) fn updated(mut file: Vec<u8>, lot: &mut Lot) -> Vec<u8> {
    let table = unlatin(&file).rfind("xref\n0").unwrap_or(0);
    let mut before = table;
    for number in 0..lot.size(50) {
        let at = file.len() + 1;
        let object = format!(
            "\n{} 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n",
            1 + number % 2 * 98
        );
        file.extend(object.bytes());
        let start = file.len();
        let previous = match lot.below(6) {
            0 => start,
            1 => lot.below(file.len()),
            _ => before,
        };
        let section = format!(
            "xref\n1 1\n{at:010} 00000 n \ntrailer\n<< /Size 99 /Root 1 0 R /Prev {previous} >>\nstartxref\n{start}\n%%EOF"
        );
        file.extend(section.bytes());
        before = start;
    }
    file
}

/// Changes of what stands behind the objects: the table, the trailer, where the table is.
pub(super) fn change_tables(file: &[u8], lot: &mut Lot) -> Vec<u8> {
    let text = unlatin(file);
    let at = text.rfind("xref\n0").or(text.rfind("/XRef")).unwrap_or(0);
    // `unlatin` has two bytes for the upper half.
    let at = text[..at].chars().count();
    let tail = pieces(&unlatin(&file[at..]), NUMBERS, &[' ', '\n'], lot);
    [&file[..at], &latin(&tail)].concat()
}
