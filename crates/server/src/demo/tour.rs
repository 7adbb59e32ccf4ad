//! The steps of the tour, in the order in which a program would take them.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::DemoError;
use super::client::{Answer, Call, Client, EventStream, text, unexpected};
use super::diff;
use super::screen::{Screen, Style, duration};

const INSTRUCTIONS: &str = "You are a helpful assistant. Answer in a few short sentences.";
const QUESTION: &str = "Why is the sky blue?";

/// The built-in model of every Loomgate server: it does what the lines that begin with `/echo` say.
const ECHO: &str = "echo";
const ECHO_QUESTION: &str =
    "What is the weather in Paris?\n/echo call get_weather {\"city\":\"Paris\"}";
const WEATHER: &str = "18 degrees and sunny";

#[derive(Debug)]
pub(super) struct Tour<W> {
    pub(super) screen: Screen<W>,
    pub(super) client: Client,
    pub(super) virtual_key: Option<String>,
}

impl<W: Write> Tour<W> {
    pub(super) async fn give(&mut self, model: Option<String>) -> Result<(), DemoError> {
        let model = match model {
            Some(model) => model,
            None => self.first_model().await?,
        };
        self.welcome(&model)?;
        let (thread_id, run_id) = self.conversation(&model).await?;
        self.function_call().await?;
        self.modify_run(&thread_id, &run_id).await?;
        self.farewell()?;
        Ok(())
    }

    async fn first_model(&self) -> Result<String, DemoError> {
        let call = Call::get("/models").through(self.virtual_key.as_deref());
        let answer = self.client.send(&call).await?;
        Ok(text(&call, &answer.body, "/data/0/id")?.to_owned())
    }

    fn welcome(&mut self, model: &str) -> io::Result<()> {
        let through = self
            .virtual_key
            .as_ref()
            .map(|name| format!(" through virtual key `{name}`"))
            .unwrap_or_default();
        let line = self.screen.paint(
            Style::Dim,
            &format!("{}   model {model}{through}", self.client.base()),
        );
        self.screen
            .title("Loomgate: the Assistants API v2, on your own server", &line)?;
        self.screen
            .note("Every call is shown as a curl command. To repeat one by hand, first set:")?;
        let settings = format!(
            "export BASE={} AUTH='Authorization: Bearer {}'\nexport BETA='OpenAI-Beta: assistants=v2' JSON='Content-Type: application/json'",
            self.client.base(),
            self.client.api_key(),
        );
        self.screen.command(&settings)
    }

    /// Assistant, thread, message, streamed run, steps. Returns the ids of the thread and the run.
    async fn conversation(&mut self, model: &str) -> Result<(String, String), DemoError> {
        self.screen.step(
            "Create an assistant",
            "A model, instructions and tools under one id, stored on this server.",
        )?;
        let call = Call::post(
            "/assistants",
            json!({"model": model, "name": "Guide", "instructions": INSTRUCTIONS, "temperature": 0}),
        );
        let answer = self.send(&call).await?;
        let assistant_id = self.made(&call, &answer)?;

        self.screen.step(
            "Create a thread",
            "A conversation; it keeps its messages for good.",
        )?;
        let call = Call::post("/threads", json!({}));
        let answer = self.send(&call).await?;
        let thread_id = self.made(&call, &answer)?;

        self.screen.step("Add a message", "What the user says.")?;
        let call = Call::post(
            format!("/threads/{thread_id}/messages"),
            json!({"role": "user", "content": QUESTION}),
        );
        let answer = self.send(&call).await?;
        self.made(&call, &answer)?;

        self.screen.step(
            "Run the assistant and read the answer as it is written",
            &format!("These are {model}'s own words, streamed."),
        )?;
        let body = json!({
            "assistant_id": assistant_id, "stream": true, "max_completion_tokens": 256,
            "metadata": {"ticket": "4711", "reviewed": "no"},
        });
        let call = Call::post(format!("/threads/{thread_id}/runs"), body)
            .through(self.virtual_key.as_deref());
        let run = self.stream(&call).await?;
        expect_status(&call, &run, &["completed", "incomplete"])?;
        let run_id = text(&call, &run, "/id")?.to_owned();

        self.screen.step(
            "See what the run did",
            "Each step of a run is on record, with the tokens that it used.",
        )?;
        let call = Call::get(format!("/threads/{thread_id}/runs/{run_id}/steps"));
        let answer = self.send(&call).await?;
        let steps = answer.body["data"]
            .as_array()
            .ok_or_else(|| unexpected(&call, "a list", &answer.body.to_string()))?;
        self.screen
            .result(answer.status, answer.took, &format!("{} step", steps.len()))?;
        for step in steps {
            let usage = &step["usage"];
            self.screen.line(&format!(
                "{}  {}, {}: {} prompt + {} completion = {} tokens",
                text(&call, step, "/id")?,
                text(&call, step, "/type")?,
                text(&call, step, "/status")?,
                usage["prompt_tokens"],
                usage["completion_tokens"],
                usage["total_tokens"],
            ))?;
        }
        Ok((thread_id, run_id))
    }

    async fn function_call(&mut self) -> Result<(), DemoError> {
        self.screen.step(
            "Give an assistant a function",
            "This part runs on the built-in echo model, because a small model (the one of `make demo` has 135M parameters) does not call functions reliably.",
        )?;
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
        let function = json!({"name": "get_weather", "description": "The weather now", "parameters": parameters});
        let call = Call::post(
            "/assistants",
            json!({"model": ECHO, "name": "Weather", "tools": [{"type": "function", "function": function}]}),
        );
        let answer = self.send(&call).await?;
        let assistant_id = self.made(&call, &answer)?;

        self.screen.step(
            "Ask something that needs it",
            "Thread and run in one call. The run stops where your program has to do its part.",
        )?;
        let body = json!({
            "assistant_id": assistant_id, "stream": true,
            "thread": {"messages": [{"role": "user", "content": ECHO_QUESTION}]},
        });
        let call = Call::post("/threads/runs", body).through(Some(ECHO));
        let run = self.stream(&call).await?;
        expect_status(&call, &run, &["requires_action"])?;
        let thread_id = text(&call, &run, "/thread_id")?;
        let run_id = text(&call, &run, "/id")?;
        let asked = "/required_action/submit_tool_outputs/tool_calls/0";
        let call_id = text(&call, &run, &format!("{asked}/id"))?;
        let name = text(&call, &run, &format!("{asked}/function/name"))?;
        let arguments = text(&call, &run, &format!("{asked}/function/arguments"))?;
        let wanted = self
            .screen
            .paint(Style::Bold, &format!("{name}({arguments})"));
        self.screen
            .line(&format!("the model asks for  {wanted}   {call_id}"))?;

        self.screen.step(
            "Answer the call",
            "Your program runs the function and hands in what it returned; the run goes on.",
        )?;
        let outputs = json!([{"tool_call_id": call_id, "output": WEATHER}]);
        let path = format!("/threads/{thread_id}/runs/{run_id}/submit_tool_outputs");
        let call = Call::post(path, json!({"stream": true, "tool_outputs": outputs}));
        let run = self.stream(&call).await?;
        expect_status(&call, &run, &["completed"])
    }

    async fn modify_run(&mut self, thread_id: &str, run_id: &str) -> Result<(), DemoError> {
        self.screen.step(
            "Modify the run",
            "Metadata of a run can be changed at any time, also after its end.",
        )?;
        let path = format!("/threads/{thread_id}/runs/{run_id}");
        let before = self.client.send(&Call::get(path.as_str())).await?.body;
        let metadata = json!({"ticket": "4711", "reviewed": "yes", "reviewer": "Ada"});
        let call = Call::post(path, json!({"metadata": metadata}));
        let answer = self.send(&call).await?;
        self.screen.result(
            answer.status,
            answer.took,
            text(&call, &answer.body, "/id")?,
        )?;

        let (Some(before), Some(after)) = (before.as_object(), answer.body.as_object()) else {
            return Err(unexpected(&call, "a run", &answer.body.to_string()));
        };
        let (Some(old), Some(new)) = (
            before["metadata"].as_object(),
            after["metadata"].as_object(),
        ) else {
            return Err(unexpected(&call, "metadata", &answer.body.to_string()));
        };
        self.screen.line("metadata")?;
        self.screen.diff(&diff::members(old, new))?;
        match diff::other_changes(before, after, "metadata").as_slice() {
            [] => self.screen.note(&format!(
                "The other {} fields of the run are as they were.",
                after.len() - 1
            ))?,
            names => {
                return Err(unexpected(
                    &call,
                    "only metadata to change",
                    &names.join(", "),
                ));
            }
        }
        Ok(())
    }

    fn farewell(&mut self) -> io::Result<()> {
        let lines = [
            "Your program keeps its code; only the address and the key change:".to_owned(),
            String::new(),
            "  from openai import OpenAI".to_owned(),
            format!("  client = OpenAI(base_url=\"{}\",", self.client.base()),
            format!("                  api_key=\"{}\")", self.client.api_key()),
            "  client.beta.threads.create()".to_owned(),
            String::new(),
            "A server that stays:   loomgate serve      (or: make run)".to_owned(),
            "Its API as a document: GET /openapi.json".to_owned(),
        ];
        self.screen.boxed("What to do next", &lines)
    }

    /// Shows a call, sends it, and returns its answer.
    async fn send(&mut self, call: &Call) -> Result<Answer, DemoError> {
        self.show(call)?;
        self.client.send(call).await
    }

    fn show(&mut self, call: &Call) -> io::Result<()> {
        self.screen.command(&call.curl())
    }

    /// Shows the id of what a call made, and returns it.
    fn made(&mut self, call: &Call, answer: &Answer) -> Result<String, DemoError> {
        let id = text(call, &answer.body, "/id")?;
        self.screen.result(answer.status, answer.took, id)?;
        Ok(id.to_owned())
    }

    /// Shows a call and the words of its run as they come; returns the run as the last event had it.
    async fn stream(&mut self, call: &Call) -> Result<Value, DemoError> {
        self.show(call)?;
        let mut events = self.client.stream(call).await?;
        let mut told = Told::default();
        let words = self.words(call, &mut events, &mut told).await;
        let took = events.elapsed();
        let run = words?.ok_or_else(|| unexpected(call, "a run in the stream", "none"))?;
        let first = told
            .first_word
            .map(|after| format!(", first word after {}", duration(after)))
            .unwrap_or_default();
        let id = text(call, &run, "/id")?;
        self.screen
            .result(events.status(), took, &format!("{id}{first}"))?;
        self.screen.note(&format!("events: {}", told.names()))?;
        Ok(run)
    }

    async fn words(
        &mut self,
        call: &Call,
        events: &mut EventStream,
        told: &mut Told,
    ) -> Result<Option<Value>, DemoError> {
        let mut run = None;
        let mut running = self.screen.running();
        while let Some((name, data)) = events.next().await? {
            if name == "thread.message.delta" {
                told.first_word.get_or_insert_with(|| events.elapsed());
                let parts = data["delta"]["content"]
                    .as_array()
                    .ok_or_else(|| unexpected(call, "delta.content", &data.to_string()))?;
                for part in parts {
                    running.push(part["text"]["value"].as_str().unwrap_or_default())?;
                }
            } else if data["object"] == "thread.run" {
                run = Some(data);
            }
            told.event(&name);
        }
        if told.first_word.is_some() {
            running.end()?;
        }
        Ok(run)
    }
}

/// What a stream told: its event names in order, repeats counted.
#[derive(Debug, Default)]
struct Told {
    events: Vec<(String, usize)>,
    first_word: Option<Duration>,
}

impl Told {
    fn event(&mut self, name: &str) {
        match self.events.last_mut() {
            Some((last, count)) if last == name => *count += 1,
            _ => self.events.push((name.to_owned(), 1)),
        }
    }

    /// `run.created, run.queued, ..., message.delta ×42, ..., done`
    fn names(&self) -> String {
        let names = self.events.iter().map(|(name, count)| {
            // `thread.created` is the one name that says nothing without its first word.
            let short = name
                .strip_prefix("thread.")
                .filter(|rest| rest.contains('.'));
            let name = short.unwrap_or(name);
            if *count > 1 {
                format!("{name} ×{count}")
            } else {
                name.to_owned()
            }
        });
        names
            .chain(["done".to_owned()])
            .collect::<Vec<_>>()
            .join(", ")
    }
}

fn expect_status(call: &Call, run: &Value, expected: &[&str]) -> Result<(), DemoError> {
    let status = text(call, run, "/status")?;
    if expected.contains(&status) {
        return Ok(());
    }
    let cause = text(call, run, "/last_error/message").unwrap_or("no last_error");
    Err(unexpected(
        call,
        &format!("a run that is {}", expected.join(" or ")),
        &format!("{status} ({cause})"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_events_are_counted() {
        let mut told = Told::default();
        for name in [
            "thread.created",
            "thread.run.created",
            "thread.message.delta",
            "thread.message.delta",
            "thread.run.completed",
        ] {
            told.event(name);
        }
        assert_eq!(
            told.names(),
            "thread.created, run.created, message.delta ×2, run.completed, done"
        );
    }

    #[test]
    fn a_failed_run_is_told_with_its_cause() {
        let call = Call::get("/threads/thread_1/runs/run_1");
        let run = json!({"status": "failed", "last_error": {"code": "server_error", "message": "the model went away"}});
        let error =
            expect_status(&call, &run, &["completed"]).expect_err("failed is not completed");
        assert_eq!(
            error.to_string(),
            "GET /v1/threads/thread_1/runs/run_1\n    expected a run that is completed, but got: failed (the model went away)"
        );
    }
}
