//! A call as a curl command that a person can paste.

use serde_json::Value;

use super::client::Call;

/// Columns that a command may take before it is broken.
const WIDTH: usize = 92;
const INDENT: usize = 4;

impl Call {
    /// The call for a shell in which `BASE`, `AUTH`, `BETA` and `JSON` are set.
    pub(super) fn curl(&self) -> String {
        let streams = self
            .body
            .as_ref()
            .is_some_and(|body| body["stream"] == true);
        let mut parts = vec![format!(
            "curl {}\"$BASE{}\"",
            if streams { "-N " } else { "" },
            self.path
        )];
        parts.push("-H \"$AUTH\" -H \"$BETA\"".to_owned());
        if let Some(name) = &self.virtual_key {
            parts.push(format!("-H 'x-portkey-virtual-key: {name}'"));
        }
        if let Some(body) = &self.body {
            parts.push("-H \"$JSON\"".to_owned());
            let json = spread(body, INDENT + "-d '".len());
            parts.push(format!("-d {}", shell_quoted(&json)));
        }
        broken(&parts)
    }
}

/// The parts of a command, on as few lines as they need.
fn broken(parts: &[String]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.len() + part.len() < WIDTH && !part.contains('\n') => {
                line.push(' ');
                line.push_str(part);
            }
            Some(line) => {
                line.push_str(" \\");
                lines.push(format!("{:INDENT$}{part}", ""));
            }
            None => lines.push(part.clone()),
        }
    }
    lines.join("\n")
}

/// JSON on one line where it fits, otherwise one member a line, `column` columns from the left.
fn spread(value: &Value, column: usize) -> String {
    let compact = value.to_string();
    if column + compact.chars().count() <= WIDTH {
        return compact;
    }
    let separator = format!(",\n{:1$}", "", column + 1);
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let name = Value::from(name.as_str()).to_string();
                let value = spread(value, column + 1 + name.chars().count() + 2);
                format!("{name}: {value}")
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(&separator))
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| spread(item, column + 1));
            format!("[{}]", items.collect::<Vec<_>>().join(&separator))
        }
        _ => compact,
    }
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_get_has_neither_method_nor_body() {
        assert_eq!(
            Call::get("/threads/t/runs").curl(),
            r#"curl "$BASE/threads/t/runs" -H "$AUTH" -H "$BETA""#
        );
    }

    #[test]
    fn a_body_survives_the_shell() {
        let call = Call::post("/threads", json!({"stream": true, "a": "it's"}));
        assert_eq!(
            call.through(Some("echo")).curl(),
            r#"curl -N "$BASE/threads" -H "$AUTH" -H "$BETA" -H 'x-portkey-virtual-key: echo' -H "$JSON" \
    -d '{"stream":true,"a":"it'\''s"}'"#
        );
    }

    #[test]
    fn a_long_body_is_spread_and_is_still_the_same_json() {
        let body = json!({
            "instructions": "x".repeat(70),
            "functions": [{"name": "y".repeat(40), "parameters": {"type": "object", "properties": {}}}],
        });
        let text = spread(&body, 8);
        assert_eq!(text.lines().count(), 3);
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.starts_with("         "))
        );
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), body);
    }
}
