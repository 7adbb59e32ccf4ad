//! Much of one thing, or things that name each other.

use super::{LARGEST, Lot, Object};

/// Much of one thing: kids, widths, contents, nodes above a page, forms in forms, brackets.
pub(super) fn storm(objects: &mut Vec<Object>, lot: &mut Lot) {
    let (pages, page, resources, tt, cid) = (1, 3, 5, 10, 22);
    let dict = |dict: String| Object { dict, stream: None };
    match lot.below(10) {
        0 => {
            let kids = "3 0 R 4 0 R << /Type /Page /Contents 7 0 R >> ".repeat(lot.size(3000));
            objects[pages] = dict(format!(
                "<< /Type /Pages /Kids [{kids}] /Resources 6 0 R >>"
            ));
        }
        1 => {
            let contents = "7 0 R 8 0 R ".repeat(lot.size(3000));
            objects[page] = dict(format!(
                "<< /Type /Page /Parent 2 0 R /Contents [{contents}] >>"
            ));
        }
        2 => {
            // Nodes of one kid each, the last of which is the first.
            let first = objects.len() + 1;
            let count = lot.size(3000);
            for number in 0..count {
                let next = if number + 1 == count && lot.one_in(2) {
                    first
                } else {
                    first + number + 1
                };
                objects.push(dict(format!("<< /Type /Pages /Kids [{next} 0 R 5 0 R] >>")));
            }
            objects[pages] = dict(format!(
                "<< /Type /Pages /Kids [{first} 0 R 4 0 R] /Resources 6 0 R >>"
            ));
        }
        3 => {
            let widths = "500 ".repeat(lot.size(100_000));
            objects[tt].dict = objects[tt].dict.replace("[250 300", &format!("[{widths}"));
        }
        4 => {
            let widths = lot.pick(&[
                "0 65535 1 ",
                "0 4294967295 1 ",
                "65535 0 1 ",
                "1 [2 3] ",
                "-5 5 1 ",
            ]);
            let widths = widths.repeat(lot.size(2000));
            objects[cid].dict = objects[cid]
                .dict
                .replace("[0 [1 2 3]", &format!("[{widths}"));
        }
        5 => {
            // Each form draws the next one twice.
            let first = objects.len() + 1;
            let count = lot.size(40);
            for number in 0..count {
                let next = first + (number + 1) % count;
                objects.push(Object {
                    dict: format!("<< /Subtype /Form /BBox [0 0 1 1] /Resources << /XObject << /Fm {next} 0 R >> >> >>"),
                    stream: Some(b"/Fm Do /Fm Do".to_vec()),
                });
            }
            objects[resources].dict = objects[resources]
                .dict
                .replace("/Fm 15", &format!("/Fm {first}"));
        }
        6 => {
            let bracket = lot.pick(&["[", "<< /A ", "(", "<</A["]);
            let many = bracket.repeat(lot.size(LARGEST / 8));
            let at = lot.below(objects.len());
            objects[at].dict = objects[at]
                .dict
                .replacen("<<", &format!("<< /X {many} "), 1);
        }
        7 => {
            let shown = lot.pick(&[
                "(text) Tj ",
                "/F1 9 Tf (a) Tj ",
                "/F2 9 Tf (B) Tj ",
                "/F4 8 Tf (a) Tj ",
                "/Span /MC0 BDC (x) Tj EMC ",
                "/Fm Do ",
            ]);
            let shown = shown.repeat(lot.size(3000));
            objects[7].stream = Some(format!("BT /F1 9 Tf {shown} ET").into_bytes());
        }
        8 => fonts_of_one_map(objects, lot),
        _ => {
            let long = "x".repeat(lot.size(100_000));
            let at = lot.below(objects.len());
            objects[at].dict =
                objects[at]
                    .dict
                    .replacen("<<", &format!("<< /X ({long}) /{long} 1 "), 1);
        }
    }
}

/// Fonts that each name the same maps, or a predefined one.
fn fonts_of_one_map(objects: &mut [Object], lot: &mut Lot) {
    let count = lot.size(300);
    let font = lot.pick(&[
        "/Subtype /TrueType /BaseFont /Arial /ToUnicode 21 0 R",
        "/Subtype /Type0 /BaseFont /Own /Encoding 22 0 R /DescendantFonts [23 0 R]",
        "/Subtype /Type0 /BaseFont /Own /Encoding /UniJIS-UTF16-H /DescendantFonts [23 0 R]",
    ]);
    let fonts: String = (0..count)
        .map(|number| format!("/F{number} << /Type /Font {font} /X {number} >> "))
        .collect();
    let shown: String = (0..count)
        .map(|number| format!("/F{number} 9 Tf <41> Tj "))
        .collect();
    objects[5] = Object {
        dict: format!("<< /Font << {fonts} >> >>"),
        stream: None,
    };
    objects[7].stream = Some(format!("BT {shown} ET").into_bytes());
}
