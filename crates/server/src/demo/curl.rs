//! A call as a curl command that a person can paste.

use serde_json::Value;

use super::client::Call;

/// Longer JSON than this is spread over several lines.
const ONE_LINE: usize = 66;

impl Call {
    /// The call for a shell in which `BASE`, `AUTH`, `BETA` and `JSON` are set.
    pub(super) fn curl(&self) -> String {
        let streams = self
            .body
            .as_ref()
            .is_some_and(|body| body["stream"] == true);
        let method = if self.body.is_none() && self.method != "GET" {
            format!("-X {} ", self.method)
        } else {
            String::new()
        };
        let virtual_key = self
            .virtual_key
            .as_ref()
            .map(|name| format!(" \\\n    -H 'x-portkey-virtual-key: {name}'"));
        let body = self
            .body
            .as_ref()
            .map(|body| format!(" -H \"$JSON\" \\\n    -d {}", shell_quoted(&spread(body))));
        [
            if streams { "curl -N " } else { "curl " },
            &method,
            &format!("\"$BASE{}\" -H \"$AUTH\" -H \"$BETA\"", self.path),
            virtual_key.as_deref().unwrap_or_default(),
            body.as_deref().unwrap_or_default(),
        ]
        .concat()
    }
}

/// JSON on one line, or one top-level member a line when that would be long.
fn spread(value: &Value) -> String {
    let compact = value.to_string();
    match value {
        Value::Object(members) if compact.chars().count() > ONE_LINE => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}: {value}", Value::from(name.as_str())))
                .collect();
            format!("{{{}}}", members.join(",\n         "))
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
        let call =
            Call::post("/threads", json!({"stream": true, "a": "it's"})).through(Some("echo"));
        assert_eq!(
            call.curl(),
            r#"curl -N "$BASE/threads" -H "$AUTH" -H "$BETA" \
    -H 'x-portkey-virtual-key: echo' -H "$JSON" \
    -d '{"stream":true,"a":"it'\''s"}'"#
        );
    }

    #[test]
    fn a_long_body_has_a_member_a_line_and_is_still_the_same_json() {
        let body = json!({"instructions": "x".repeat(60), "tools": [{"type": "function"}]});
        let text = spread(&body);
        assert_eq!(text.lines().count(), 2);
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), body);
    }
}
