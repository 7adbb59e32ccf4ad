//! Records of what clients ask for: threads with their messages, and vector stores, by themselves or
//! along with something else (contract sections 5.3, 7.3 and 11.4).

use std::{collections::BTreeSet, sync::Arc};

use loomgate_domain::{
    IdGen, Limits, Message, Thread, ThreadId, Timestamp, VectorStore,
    id::new_id,
    message::MessageStatus,
    vector_store::{Attributes, FileCounts, THREAD_STORE_DAYS},
};
use loomgate_store::{Attaching, NewVectorStore, NewVectorStoreFile, PutFiles, ThreadStores};
use loomgate_wire::request::{CreateThread, CreateVectorStore, CreateVectorStoreFile, NewMessage};

/// What records are made with.
#[derive(Clone, Copy)]
pub struct Making<'m> {
    /// Their ids.
    pub ids: &'m Arc<dyn IdGen>,
    /// When they are made.
    pub now: Timestamp,
    /// How much they may hold.
    pub limits: &'m Limits,
}

/// A thread that is to be kept.
#[derive(Debug, Clone)]
pub struct NewThread {
    /// The thread.
    pub thread: Thread,
    /// Its messages, in order.
    pub messages: Vec<Message>,
    /// The vector stores that are made with it.
    pub stores: ThreadStores,
}

impl Making<'_> {
    /// A thread. It names the vector store that is made for it: the one that was asked for, or the one
    /// that its messages' files need.
    pub fn thread(&self, new: CreateThread) -> NewThread {
        let id = new_id(&**self.ids);
        let messages = self.messages(&id, new.messages);
        let mut tool_resources = new.tool_resources;
        let made = new.vector_store.map(|store| {
            self.vector_store(CreateVectorStore {
                expires_after_days: Some(THREAD_STORE_DAYS),
                ..store
            })
        });
        if let Some(made) = &made {
            tool_resources.set_vector_store(made.record.id.as_str());
        }
        let attaching = self.attaching(&messages);
        if let Some(attaching) = &attaching
            && tool_resources.vector_store_ids().is_empty()
        {
            tool_resources.set_vector_store(attaching.new_store.as_str());
        }
        NewThread {
            thread: Thread {
                id,
                created_at: self.now,
                metadata: new.metadata,
                tool_resources,
            },
            messages,
            stores: ThreadStores { made, attaching },
        }
    }

    /// Messages as clients post them. They are complete at once.
    pub(crate) fn messages(&self, thread: &ThreadId, messages: Vec<NewMessage>) -> Vec<Message> {
        let message = |message| posted(self.ids, thread, self.now, message);
        messages.into_iter().map(message).collect()
    }

    /// What becomes of the files that messages attach for search, if they attach any.
    pub(crate) fn attaching(&self, messages: &[Message]) -> Option<Attaching> {
        let attach = |message: &Message| !message.file_search_files().is_empty();
        messages.iter().any(attach).then(|| Attaching {
            new_store: new_id(&**self.ids),
            most: self.limits.vector_store_files,
        })
    }

    /// A vector store with its files.
    pub fn vector_store(&self, new: CreateVectorStore) -> NewVectorStore {
        let chunking = new.chunking;
        let file = |file_id| CreateVectorStoreFile {
            file_id,
            chunking,
            attributes: Attributes::default(),
        };
        let put = self.put_files(new.file_ids.into_iter().map(file));
        let record = VectorStore {
            id: new_id(&**self.ids),
            created_at: self.now,
            name: new.name,
            description: new.description,
            metadata: new.metadata,
            expires_after_days: new.expires_after_days,
            last_active_at: self.now,
            file_counts: waiting(&put),
            usage_bytes: 0,
        };
        NewVectorStore { record, put }
    }

    /// Files for a store, each once: of one that is named twice, the last counts.
    pub fn put_files(
        &self,
        files: impl DoubleEndedIterator<Item = CreateVectorStoreFile>,
    ) -> PutFiles {
        let mut named = BTreeSet::new();
        let last = files
            .rev()
            .filter(|file| named.insert(file.file_id.clone()));
        let mut files: Vec<_> = last
            .map(|file| NewVectorStoreFile {
                file_id: file.file_id,
                chunking: file.chunking,
                attributes: file.attributes,
            })
            .collect();
        files.reverse();
        PutFiles {
            files,
            at: self.now,
            most: self.limits.vector_store_files,
        }
    }
}

impl std::fmt::Debug for Making<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Making")
            .field("now", &self.now)
            .field("limits", self.limits)
            .finish_non_exhaustive()
    }
}

/// What is counted of files that were just put.
pub fn waiting(put: &PutFiles) -> FileCounts {
    FileCounts {
        in_progress: put.files.len() as u64,
        ..FileCounts::default()
    }
}

/// A message as a client posts it, made a record. It is complete at once.
pub fn posted(
    ids: &Arc<dyn IdGen>,
    thread: &ThreadId,
    now: Timestamp,
    message: NewMessage,
) -> Message {
    Message {
        id: new_id(&**ids),
        thread_id: thread.clone(),
        created_at: now,
        role: message.role,
        content: message.content,
        attachments: message.attachments,
        metadata: message.metadata,
        assistant_id: None,
        run_id: None,
        status: MessageStatus::Completed { completed_at: now },
    }
}
