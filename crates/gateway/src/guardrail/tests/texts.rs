use super::*;

#[test]
fn the_text_of_a_request_is_what_the_user_said_last() {
    for (body, text) in [
        (
            json!({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}),
            "b",
        ),
        (
            json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}),
            "a",
        ),
        (
            json!({"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]}),
            "a",
        ),
        (
            json!({"messages": [{"role": "system", "content": "a"}]}),
            "a",
        ),
        (
            json!({"messages": [{"role": "user", "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "https://example.com"}},
                {"type": "text", "text": "b"},
            ]}]}),
            "a\nb",
        ),
        (json!({"messages": [{"role": "user", "content": null}]}), ""),
        (json!({"messages": [{"role": "user"}]}), ""),
        (json!({"messages": []}), ""),
        (json!({"messages": "a"}), "a"),
        (json!({"prompt": "a"}), "a"),
        (json!({"prompt": ["a", "b"]}), "a\nb"),
        (json!({"prompt": [[1, 2], [3]]}), ""),
        (json!({"input": "a"}), "a"),
        (json!({"input": ["a", "b"]}), "a\nb"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]}),
            "a",
        ),
        // A field that the endpoint ignores hides nothing.
        (
            json!({"messages": [{"role": "user", "content": "a"}], "prompt": "b", "input": "c"}),
            "a\nb\nc",
        ),
        (json!({}), ""),
        (json!(null), ""),
        (json!([1]), ""),
    ] {
        assert_eq!(request_text(&body), text, "{body}");
    }
}

#[test]
fn the_text_of_an_answer_is_its_first_choice() {
    for (body, text) in [
        (
            json!({"choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}]}),
            "a\nb",
        ),
        (json!({"choices": [{"text": "a"}]}), "a"),
        (
            json!({"output": [{"type": "message", "content": [{"type": "output_text", "text": "a"}]}]}),
            "a",
        ),
        (json!({"content": [{"type": "text", "text": "a"}]}), "a"),
        (
            json!({"choices": [{"message": {"content": [{"type": "text", "text": "a"}]}}]}),
            "a",
        ),
        (
            json!({"choices": [{"message": {"content": null, "tool_calls": []}}]}),
            "",
        ),
        (json!({"choices": []}), ""),
        (json!({"data": [{"embedding": [1]}]}), ""),
        (json!("a"), ""),
    ] {
        assert_eq!(response_text(&body), text, "{body}");
    }
}
