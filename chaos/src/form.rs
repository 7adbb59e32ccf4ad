//! Bodies of uploads.

/// Their content type.
pub(crate) const FORM: &str = "multipart/form-data; boundary=chaos-boundary";

/// A body of these fields: name, file name and value of each.
pub(crate) fn form(fields: &[(&str, Option<&str>, &str)]) -> String {
    let mut form = String::new();
    for (name, file, value) in fields {
        let file = file.map(|file| format!("; filename=\"{file}\""));
        let file = file.unwrap_or_default();
        for piece in [
            "--chaos-boundary\r\nContent-Disposition: form-data; name=\"",
            name,
            "\"",
            &file,
            "\r\n\r\n",
            value,
            "\r\n",
        ] {
            form.push_str(piece);
        }
    }
    form + "--chaos-boundary--\r\n"
}
