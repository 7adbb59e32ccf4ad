#!/usr/bin/env node
// Writes the three PDFs that the demo asks about into a folder: node write-pdfs.mjs FOLDER
//
// They are of this project's own, so that no model can know what they say. Text, one font, a page for each paragraph.

import {mkdirSync, writeFileSync} from "node:fs";
import {join} from "node:path";

const LINE_CHARS = 80;

const DOCUMENTS = {
    "kettle.pdf": [
        "A short manual.",
        "The warranty of the Nimbus kettle lasts seven years. Keep the receipt.",
        "Fill it with cold water only. It boils a litre in two minutes."
    ],
    "ferry.pdf": [
        "The ferry to Orrin Island. Summer timetable.",
        "The ferry to Orrin Island leaves at nine in the morning from the old pier, every day but Monday.",
        "A ticket for the ferry costs eleven crowns. Bicycles travel free."
    ],
    "library.pdf": [
        "Rules for readers.",
        "A reader may borrow twelve books from the Larkspur Library.",
        "Lamps are to be put out before leaving."
    ]
};

function lines(paragraph) {
    const found = [""];
    for (const word of paragraph.split(" ")) {
        if (found.at(-1).length + word.length >= LINE_CHARS) found.push("");
        found[found.length - 1] = `${found.at(-1)} ${word}`.trim();
    }
    return found;
}

/** A PDF 1.4 of these paragraphs. They have to be ASCII without parentheses and backslashes, which PDF texts escape. */
function pdf(paragraphs) {
    if (!paragraphs.every((text) => /^[ -~]*$/.test(text) && !/[()\\]/.test(text))) throw new Error("not plain ASCII");
    const page = (index) => 4 + 2 * index;
    const kids = paragraphs.map((_, index) => `${page(index)} 0 R`).join(" ");
    const objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        `<< /Type /Pages /Kids [${kids}] /Count ${paragraphs.length} >>`,
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    ];
    for (const [index, paragraph] of paragraphs.entries()) {
        const shown = lines(paragraph).map((line) => `(${line}) Tj T*`).join("\n");
        const content = `BT /F1 12 Tf 15 TL 72 770 Td\n${shown}\nET`;
        objects.push(
            `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> /Contents ${page(index) + 1} 0 R >>`,
            `<< /Length ${content.length} >>\nstream\n${content}\nendstream`
        );
    }
    let file = "%PDF-1.4\n";
    const offsets = objects.map((object, index) => {
        const offset = file.length;
        file += `${index + 1} 0 obj\n${object}\nendobj\n`;
        return `${String(offset).padStart(10, "0")} 00000 n \n`;
    });
    const size = objects.length + 1;
    return `${file}xref\n0 ${size}\n0000000000 65535 f \n${offsets.join("")}trailer\n<< /Size ${size} /Root 1 0 R >>\nstartxref\n${file.length}\n%%EOF\n`;
}

const [folder] = process.argv.slice(2);
if (folder === undefined) {
    process.stderr.write("usage: node write-pdfs.mjs FOLDER\n");
    process.exit(2);
}
mkdirSync(folder, {recursive: true});
for (const [name, paragraphs] of Object.entries(DOCUMENTS)) writeFileSync(join(folder, name), pdf(paragraphs), "latin1");
