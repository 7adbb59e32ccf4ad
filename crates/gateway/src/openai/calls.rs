//! Puts the pieces of function calls in order: servers may interleave calls and leave out ids,
//! indices and names, while a `ChatStream` brings one call after another.

use std::collections::VecDeque;

use loomgate_domain::{
    IdGen,
    id::{CallId, new_id},
};
use loomgate_wire::chat::{ChatEvent, FinishReason};

/// The most calls of one turn.
const CALLS: usize = 128;

/// A piece of a call, as it came. Empty texts count as missing.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) index: Option<usize>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) arguments: String,
    /// Gemini's; comes along with the name.
    pub(super) signature: Option<String>,
}

/// The pieces make no call, or too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("The provider sent a function call without a name.")]
    Nameless,
    #[error("The provider sent more than 128 function calls in one turn.")]
    TooMany,
}

#[derive(Debug, Default)]
struct Call {
    /// The server's index, where it gave one.
    index: Option<usize>,
    id: Option<String>,
    name: Option<String>,
    signature: Option<String>,
    /// Arguments that were not handed out yet.
    waiting: String,
    /// `CallStarted` was handed out.
    started: bool,
    /// Some of its arguments have come.
    has_arguments: bool,
}

/// The calls of one turn. The first is handed out as it comes; whether it is complete is only known
/// at the end, so the others wait until then.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Takes the next piece.
    pub(super) fn push(
        &mut self,
        piece: Piece,
        ids: &dyn IdGen,
        events: &mut VecDeque<ChatEvent>,
    ) -> Result<(), Broken> {
        let position = match self.find(&piece) {
            Some(position) => position,
            None if piece.id.is_none() && piece.name.is_none() && piece.arguments.is_empty() => {
                return Ok(());
            }
            None if self.calls.len() == CALLS => return Err(Broken::TooMany),
            None => {
                self.calls.push(Call {
                    index: piece.index,
                    ..Call::default()
                });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[position];
        call.id = call.id.take().or(piece.id);
        call.name = call.name.take().or(piece.name);
        call.signature = call.signature.take().or(piece.signature);
        call.has_arguments |= !piece.arguments.is_empty();
        call.waiting.push_str(&piece.arguments);
        if position == 0 && call.index.unwrap_or(0) == 0 && call.name.is_some() {
            return call.hand_out(0, ids, events);
        }
        Ok(())
    }

    /// The turn is over: hands out what waits.
    pub(super) fn finish(
        &mut self,
        reason: FinishReason,
        ids: &dyn IdGen,
        events: &mut VecDeque<ChatEvent>,
    ) -> Result<(), Broken> {
        self.calls.sort_by_key(|call| call.index.unwrap_or(0));
        for (index, call) in self.calls.iter_mut().enumerate() {
            // Some servers leave out arguments without fields; clients read JSON.
            if !call.has_arguments && reason == FinishReason::ToolCalls {
                call.waiting.push_str("{}");
            }
            call.hand_out(index, ids, events)?;
        }
        Ok(())
    }

    /// The call that a piece continues; none when it begins one.
    ///
    /// A server that names the index names the call, except that some give every call index 0 and
    /// tell them apart by id; others make up an id for every piece, but give the name only once.
    fn find(&self, piece: &Piece) -> Option<usize> {
        let same_id = |call: &Call| piece.id.is_some() && call.id == piece.id;
        if piece.index.is_some() {
            let position = self
                .calls
                .iter()
                .rposition(|call| call.index == piece.index)?;
            let other_call = piece.name.is_some()
                && piece.id.is_some()
                && self.calls[position].id.is_some()
                && !same_id(&self.calls[position]);
            return if other_call {
                self.calls.iter().position(same_id)
            } else {
                Some(position)
            };
        }
        let by_id = self.calls.iter().position(same_id);
        if by_id.is_some() || piece.name.is_some() {
            return by_id;
        }
        self.calls.len().checked_sub(1)
    }
}

impl Call {
    fn hand_out(
        &mut self,
        index: usize,
        ids: &dyn IdGen,
        events: &mut VecDeque<ChatEvent>,
    ) -> Result<(), Broken> {
        if !self.started {
            let name = self.name.clone().ok_or(Broken::Nameless)?;
            let id = self.id.get_or_insert_with(|| {
                let id: CallId = new_id(ids);
                id.as_str().to_owned()
            });
            events.push_back(ChatEvent::CallStarted {
                index,
                id: id.clone(),
                name,
                signature: self.signature.take(),
            });
            self.started = true;
        }
        if !self.waiting.is_empty() {
            events.push_back(ChatEvent::CallArguments {
                index,
                text: std::mem::take(&mut self.waiting),
            });
        }
        Ok(())
    }
}
