//! One transaction that moves a run on from outside its executor.

use std::sync::Arc;

use loomgate_domain::{
    RunId, ThreadId, WorkspaceId,
    run::{Effect, Illegal, Input, RunState},
};
use parking_lot::Mutex;

use crate::{draft::Draft, engine::Shared};

/// Where a run is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) ws: WorkspaceId,
    pub(crate) thread: ThreadId,
    pub(crate) run: RunId,
}

/// A run that was moved on, and what is still to be done about it.
pub(crate) type Moved = (Draft, Vec<Effect>);

/// Reads the run, gives it the input, and writes what follows. `None`: no such run. `live` says
/// whether the draft is to collect what streams are told.
pub(crate) async fn command(
    shared: &Shared,
    place: &Place,
    live: bool,
    input: impl Fn(&RunState) -> Input + Send + 'static,
) -> Result<Option<Result<Moved, Illegal>>, loomgate_store::Error> {
    // The draft is made inside the transaction, and used after it.
    let slot: Arc<Mutex<Option<Moved>>> = Arc::default();
    let made = Arc::clone(&slot);
    let now = shared.clock.now();
    let runs = shared.store.runs();
    let commanded = runs
        .command(
            &place.ws,
            &place.thread,
            &place.run,
            move |row| {
                let input = input(&row.run.state);
                let mut draft = Draft::new(row.run, row.steps, row.messages, live);
                let effects = draft.step(now, input)?;
                let change = draft.change();
                *made.lock() = Some((draft, effects));
                Ok::<_, Illegal>(Some(change))
            },
            shared.clock.now_ms(),
        )
        .await?;
    Ok(match commanded {
        None => None,
        Some(Err(illegal)) => Some(Err(illegal)),
        Some(Ok(_)) => slot.lock().take().map(Ok),
    })
}
