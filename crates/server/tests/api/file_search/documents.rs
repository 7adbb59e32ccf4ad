//! Documents of all kinds through the server: found by a word, or refused with what is wrong.

use serde_json::{Value, json};

use super::{
    INDEXING,
    build::{
        archive::bomb,
        office::{docx, paragraph, pptx, shape, xlsx},
        pdf::{page, pdf, stream},
    },
    of_store, store_of,
};
use crate::{admin::ok, app::TestApp, process::text};

#[tokio::test]
async fn documents_of_every_kind_are_found_by_a_word() {
    let app = TestApp::start_with(INDEXING).await;
    let report = page(
        "BT /F1 12 Tf 72 720 Td (The albatross has landed.) Tj ET",
        None,
    );
    let letter = docx(&paragraph("Dear badger, all is well."), &[], &[]);
    let deck = pptx(&[("Plans", &shape(&["Feed the cormorant"]), "")]);
    let row = "<row><c r=\"A1\" t=\"inlineStr\"><is><t>dormouse</t></is></c></row>";
    let book = xlsx(&[("Animals", row)], &[], &[]);
    let documents: [(&str, &[u8], &str); 9] = [
        ("report.pdf", &report, "albatross"),
        ("letter.docx", &letter, "badger"),
        ("deck.pptx", &deck, "cormorant"),
        ("book.xlsx", &book, "dormouse"),
        ("table.csv", b"animal,legs\necureuil,4\n", "ecureuil"),
        (
            "page.html",
            b"<title>Zoo</title><p>One <b>flamingo</b></p>",
            "flamingo",
        ),
        (
            "data.json",
            br#"{"animal": {"name": "gorilla"}}"#,
            "gorilla",
        ),
        ("zoo.py", b"def feed(hamster):\n    return 1\n", "hamster"),
        ("Zoo.java", b"class Zoo { Ibis first; }\n", "ibis"),
    ];
    let files: Vec<_> = documents
        .iter()
        .map(|(name, bytes, _)| (*name, *bytes))
        .collect();
    let store = store_of(&app, &files).await;
    assert_eq!(store["file_counts"]["completed"], 9, "{store}");
    for (name, _, word) in documents {
        let query = json!({"query": word});
        let page = ok(&app.post(&of_store(&store, "search"), &query).await);
        let found = page["data"].as_array().unwrap();
        assert_eq!(found.len(), 1, "{word}: {page}");
        assert_eq!(found[0]["filename"], name);
        let words = text(&found[0]["content"][0], "text").to_lowercase();
        assert!(words.contains(word), "{words}");
    }
    app.stop().await;
}

#[tokio::test]
async fn documents_that_were_made_to_hurt_fail_with_what_is_wrong() {
    let app = TestApp::start_with(INDEXING).await;
    let bomb = bomb("word/document.xml", 257 << 20);
    let image = stream(
        "/Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 /ColorSpace /DeviceGray",
        b"\0",
    );
    let scan = page("q 612 0 0 792 0 0 cm /Own Do Q", Some(image));
    let nobody = "0".repeat(64);
    let locked = pdf(
        &[
            b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
            b"<< /Type /Pages /Kids [] /Count 0 >>".to_vec(),
        ],
        &format!(
            "/ID [<00> <00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{nobody}> /U <{nobody}> >>"
        ),
    );
    let files: [(&str, &[u8], &str, &str); 5] = [
        ("bomb.docx", &bomb, "invalid_file", "unpacks to more than"),
        ("scan.pdf", &scan, "invalid_file", "OCR"),
        ("locked.pdf", &locked, "invalid_file", "password"),
        (
            "picture.txt",
            b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR",
            "unsupported_file",
            "a PNG image",
        ),
        (
            "words.pdf",
            b"Just words.",
            "invalid_file",
            "looks like text",
        ),
    ];
    let mut all: Vec<(&str, &[u8])> = vec![("good.txt", b"Good words.")];
    all.extend(files.iter().map(|(name, bytes, ..)| (*name, *bytes)));
    let store = store_of(&app, &all).await;
    let counts = &store["file_counts"];
    assert_eq!(
        (&counts["completed"], &counts["failed"]),
        (&json!(1), &json!(5))
    );
    let listed = ok(&app.get(&of_store(&store, "files?order=asc")).await);
    let mut told = Vec::new();
    for file in listed["data"].as_array().unwrap() {
        let id = text(file, "id");
        let name = text(&ok(&app.get(&format!("/v1/files/{id}")).await), "filename");
        told.push((name, file["status"].clone(), file["last_error"].clone()));
    }
    for (name, _, code, says) in files {
        let (_, status, error) = told.iter().find(|(it, ..)| it == name).unwrap();
        assert_eq!(
            (status, &error["code"]),
            (&json!("failed"), &json!(code)),
            "{error}"
        );
        let message = text(error, "message");
        assert!(
            message.contains(says) && message.ends_with('.'),
            "{name}: {message}"
        );
    }
    let query = json!({"query": "good words"});
    let page = ok(&app.post(&of_store(&store, "search"), &query).await);
    let found = page["data"].as_array().unwrap().iter();
    let found: Vec<&Value> = found.map(|it| &it["filename"]).collect();
    assert_eq!(found, ["good.txt"]);
    app.stop().await;
}
