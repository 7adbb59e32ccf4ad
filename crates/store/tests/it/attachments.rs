//! Vector stores that are made along with something else, and files that messages attach for search.

use loomgate_domain::{
    Message, VectorStore, VectorStoreId,
    message::{Attachment, AttachmentTool},
    vector_store::{IndexingStatus, THREAD_STORE_DAYS},
};
use loomgate_store::{
    Attaching, Error, IfLocked, NewRun, NewRunThread, NewVectorStore, RunChange, Store,
    ThreadStores,
};

use crate::{
    documents::{complete, counted, create, get, library, put, take, vector_store},
    fixtures::{
        NOW, NOW_MS, assistant, completed, guard, id, message, message_ids, run, running, thread,
        ws,
    },
    home::Home,
    receipts::receipt,
};

on_both_engines! {
    attached_files_make_the_store_of_their_thread,
    attached_files_go_into_the_store_that_the_thread_names,
    a_message_whose_files_find_no_room_is_not_posted,
    a_thread_and_its_store_are_made_together_or_not_at_all,
    an_assistant_and_its_store_are_made_together_or_not_at_all,
    messages_of_a_run_attach_with_it,
    a_waiting_message_attaches_when_it_has_its_turn,
    a_waiting_message_is_posted_whatever_became_of_its_files,
}

/// Message `n` on thread 1 with files for search.
fn attached(n: u32, files: &[u32]) -> Message {
    let attachment = |n: &u32| Attachment {
        file_id: Some(format!("file-{n}")),
        tools: vec![AttachmentTool::FileSearch],
    };
    Message {
        attachments: files.iter().map(attachment).collect(),
        ..message(&id(1), n)
    }
}

/// Store `n` is made where the thread has none.
fn attaching(n: u32) -> Attaching {
    Attaching {
        new_store: id(n),
        most: 10_000,
    }
}

async fn post(store: &Store, message: Message, making: u32) -> Result<Option<()>, Error> {
    let message = (message, Some(attaching(making)));
    let messages = store.messages();
    messages
        .create(&ws(), message, IfLocked::Enqueue, None)
        .await
}

/// The stores that thread 1 names.
async fn named(store: &Store) -> Vec<String> {
    let on = store.threads().get(&ws(), &id(1)).await.unwrap().unwrap();
    on.tool_resources.vector_store_ids().to_vec()
}

async fn find(store: &Store, n: u32) -> Option<VectorStore> {
    store.vector_stores().get(&ws(), &id(n)).await.unwrap()
}

async fn status(store: &Store, n: u32, file: u32) -> Option<IndexingStatus> {
    let files = store.vector_store_files();
    let found = files.get(&ws(), &id(n), &id(file)).await.unwrap();
    found.map(|file| file.status)
}

async fn with_thread(home: Home) -> (Home, Store) {
    let (home, store) = library(home);
    let inserted = store.threads().insert(&ws(), thread(1), Vec::new()).await;
    inserted.unwrap();
    (home, store)
}

async fn attached_files_make_the_store_of_their_thread(home: Home) {
    let (_home, store) = with_thread(home).await;
    post(&store, attached(1, &[2, 1, 2]), 7)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(named(&store).await, ["vs_7"]);
    let made = get(&store, 7).await;
    assert_eq!(counted(made.file_counts), [2, 0, 0, 0]);
    assert_eq!(made.expires_after_days, Some(THREAD_STORE_DAYS));
    assert_eq!((made.created_at, made.last_active_at), (NOW, NOW));
    assert_eq!(made.name, None);
    // Somebody indexes them.
    let taken = take(&store).await;
    assert!(complete(&store, &taken, 5).await);

    // The next ones join them; what is indexed is not indexed again.
    post(&store, attached(2, &[1, 2, 3]), 8)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(named(&store).await, ["vs_7"]);
    assert_eq!(find(&store, 8).await, None);
    let counts = get(&store, 7).await.file_counts;
    assert_eq!(counted(counts), [2, 1, 0, 0]);

    // A store that is gone has a successor.
    let stores = store.vector_stores();
    assert!(stores.delete(&ws(), &id(7), NOW).await.unwrap());
    post(&store, attached(3, &[3]), 9).await.unwrap().unwrap();
    assert_eq!(named(&store).await, ["vs_9"]);
    assert_eq!(counted(get(&store, 9).await.file_counts), [1, 0, 0, 0]);
}

async fn attached_files_go_into_the_store_that_the_thread_names(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[1, 2, 3]).await;
    let mut on = thread(1);
    on.tool_resources.set_vector_store("vs_1");
    store.threads().insert(&ws(), on, Vec::new()).await.unwrap();
    let (one, two) = (take(&store).await, take(&store).await);
    assert!(complete(&store, &one, 5).await);
    assert!(crate::documents::fail(&store, &two).await);
    // A file that could not be indexed is tried again.
    post(&store, attached(1, &[1, 2, 4]), 7)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(named(&store).await, ["vs_1"]);
    assert_eq!(find(&store, 7).await, None);
    assert_eq!(status(&store, 1, 1).await, Some(IndexingStatus::Completed));
    assert_eq!(status(&store, 1, 2).await, Some(IndexingStatus::InProgress));
    let now = get(&store, 1).await;
    assert_eq!(counted(now.file_counts), [3, 1, 0, 0]);
    assert_eq!(now.expires_after_days, None);
}

async fn a_message_whose_files_find_no_room_is_not_posted(home: Home) {
    let (_home, store) = with_thread(home).await;
    let narrow = Some(Attaching {
        new_store: id(7),
        most: 1,
    });
    let messages = store.messages();
    let new = (attached(1, &[1, 2]), narrow.clone());
    let full = messages.create(&ws(), new, IfLocked::Refuse, None).await;
    assert!(matches!(full, Err(Error::StoreFull)), "{full:?}");
    assert_eq!(find(&store, 7).await, None);
    assert!(named(&store).await.is_empty());
    let new = (attached(1, &[1, 1]), narrow.clone());
    let fits = messages.create(&ws(), new, IfLocked::Refuse, None).await;
    fits.unwrap().unwrap();
    let new = (attached(2, &[1, 2]), narrow);
    let full = messages.create(&ws(), new, IfLocked::Refuse, None).await;
    assert!(matches!(full, Err(Error::StoreFull)), "{full:?}");
    assert_eq!(counted(get(&store, 7).await.file_counts), [1, 0, 0, 0]);

    let late = Message {
        created_at: NOW.plus(THREAD_STORE_DAYS * 86_400),
        ..attached(3, &[2])
    };
    let expired = post(&store, late, 8).await;
    let Err(Error::StoreExpired(which)) = expired else {
        panic!("{expired:?}")
    };
    assert_eq!(which, id::<loomgate_domain::id::VectorStoreKind>(7));
    let page = loomgate_domain::PageRequest::default();
    let listed = messages.list(&ws(), &id(1), None, page).await;
    assert_eq!(message_ids(&listed.unwrap().unwrap().items), [id(1)]);
}

fn made(n: u32, files: &[u32]) -> NewVectorStore {
    NewVectorStore {
        record: vector_store(n),
        put: put(files),
    }
}

async fn a_thread_and_its_store_are_made_together_or_not_at_all(home: Home) {
    let (_home, store) = library(home);
    let mut on = thread(1);
    on.tool_resources.set_vector_store("vs_7");
    let new = |files: &[u32]| ThreadStores {
        made: Some(made(7, files)),
        attaching: Some(attaching(8)),
    };
    let first = || vec![attached(1, &[2, 3]), message(&id(1), 2)];
    let threads = store.threads();
    let refused = threads
        .create(
            &ws(),
            (on.clone(), first()),
            new(&[1, 99]),
            Some(receipt("k")),
        )
        .await;
    let Err(Error::NoSuchFiles(missing)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(missing, ["file-99"]);
    assert_eq!(threads.get(&ws(), &id(1)).await.unwrap(), None);
    assert_eq!(find(&store, 7).await, None);
    let created = threads
        .create(
            &ws(),
            (on.clone(), first()),
            new(&[1, 2]),
            Some(receipt("k")),
        )
        .await;
    created.unwrap();
    assert_eq!(threads.get(&ws(), &id(1)).await.unwrap(), Some(on.clone()));
    assert_eq!(counted(get(&store, 7).await.file_counts), [3, 0, 0, 0]);
    assert_eq!(find(&store, 8).await, None);
    // A thread that names the store that its messages need, before it is there.
    on.id = id(2);
    on.tool_resources.set_vector_store("vs_9");
    let message = Message {
        thread_id: id(2),
        ..attached(3, &[2])
    };
    let stores = ThreadStores {
        made: None,
        attaching: Some(attaching(9)),
    };
    let created = threads
        .create(&ws(), (on, vec![message]), stores, None)
        .await;
    created.unwrap();
    assert_eq!(counted(get(&store, 9).await.file_counts), [1, 0, 0, 0]);
}

async fn an_assistant_and_its_store_are_made_together_or_not_at_all(home: Home) {
    let (_home, store) = library(home);
    let assistants = store.assistants();
    let refused = assistants
        .create(&ws(), assistant(1), Some(made(7, &[1, 99])), None)
        .await;
    assert!(matches!(refused, Err(Error::NoSuchFiles(_))), "{refused:?}");
    assert_eq!(assistants.get(&ws(), &id(1)).await.unwrap(), None);
    assert_eq!(find(&store, 7).await, None);
    let mut full = made(7, &[1, 2]);
    full.put.most = 1;
    let refused = assistants
        .create(&ws(), assistant(1), Some(full), None)
        .await;
    assert!(matches!(refused, Err(Error::StoreFull)), "{refused:?}");
    assert_eq!(assistants.get(&ws(), &id(1)).await.unwrap(), None);
    let created = assistants
        .create(&ws(), assistant(1), Some(made(7, &[1])), Some(receipt("k")))
        .await;
    created.unwrap();
    assert_eq!(counted(get(&store, 7).await.file_counts), [1, 0, 0, 0]);
    // An answer that is given again makes nothing.
    let again = assistants
        .create(&ws(), assistant(2), Some(made(8, &[1])), Some(receipt("k")))
        .await;
    assert!(matches!(again, Err(Error::Repeated)), "{again:?}");
    assert_eq!(find(&store, 8).await, None);
}

/// Run `n` on thread 1, whose messages attach files.
fn with_files(n: u32, files: &[u32], most: u64) -> NewRun {
    NewRun {
        thread: NewRunThread::Existing {
            messages: vec![attached(n, files), message(&id(1), n + 1)],
        },
        run: run(&id(1), n),
        sealed: None,
        events: None,
        at_ms: NOW_MS,
        if_locked: IfLocked::Enqueue,
        stores: ThreadStores {
            made: None,
            attaching: Some(Attaching {
                new_store: id(7),
                most,
            }),
        },
        receipt: None,
        take: None,
    }
}

async fn messages_of_a_run_attach_with_it(home: Home) {
    let (_home, store) = with_thread(home).await;
    let refused = store.runs().create(&ws(), with_files(10, &[1, 2], 1)).await;
    assert!(matches!(refused, Err(Error::StoreFull)), "{refused:?}");
    let none = store.runs().get(&ws(), &id(1), &id(10)).await.unwrap();
    assert_eq!(none, None);
    assert!(named(&store).await.is_empty());
    let created = store.runs().create(&ws(), with_files(10, &[1, 2], 2)).await;
    created.unwrap().unwrap();
    assert_eq!(named(&store).await, ["vs_7"]);
    assert_eq!(counted(get(&store, 7).await.file_counts), [2, 0, 0, 0]);
}

async fn end(store: &Store, claim: &loomgate_store::Claim) {
    let ended = RunChange::to(completed());
    let committed = store.runs().commit(guard(claim), ended).await;
    assert!(committed.unwrap().is_some());
}

async fn a_waiting_message_attaches_when_it_has_its_turn(home: Home) {
    let (_home, store) = library(home);
    let claim = running(&store, 1).await;
    post(&store, attached(5, &[1, 2]), 7)
        .await
        .unwrap()
        .unwrap();
    let created = store.runs().create(&ws(), with_files(10, &[3], 9)).await;
    created.unwrap().unwrap();
    assert_eq!(find(&store, 7).await, None);
    // What it says to whoever reads it, and changes it, stays what it was.
    let messages = store.messages();
    let read = messages.get(&ws(), &id(1), &id(5)).await.unwrap();
    assert_eq!(read, Some(attached(5, &[1, 2])));
    let pairs = crate::fixtures::metadata("new", "pairs");
    let changed = messages.set_metadata(&ws(), &id(1), &id(5), pairs).await;
    assert!(changed.unwrap().is_some());
    assert!(store.files().delete(&ws(), &id(2), NOW).await.unwrap());
    end(&store, &claim).await;
    let id: VectorStoreId = id(7);
    assert_eq!(named(&store).await, [id.as_str()]);
    // A file that was deleted meanwhile is left out.
    assert_eq!(counted(get(&store, 7).await.file_counts), [2, 0, 0, 0]);
}

async fn a_waiting_message_is_posted_whatever_became_of_its_files(home: Home) {
    let (_home, store) = library(home);
    let mut limited = vector_store(1);
    limited.expires_after_days = Some(1);
    let stores = store.vector_stores();
    stores
        .create(&ws(), limited, put(&[1]), None)
        .await
        .unwrap();
    let claim = running(&store, 1).await;
    let named = store
        .threads()
        .update(&ws(), &id(1), |mut on| {
            on.tool_resources.set_vector_store("vs_1");
            on
        })
        .await;
    named.unwrap().unwrap();
    let narrow = Some(Attaching {
        new_store: id(7),
        most: 1,
    });
    let late = Message {
        created_at: NOW.plus(86_400),
        ..attached(6, &[2])
    };
    let mut both = attached(5, &[2, 3]);
    both.attachments[1]
        .tools
        .push(AttachmentTool::CodeInterpreter);
    for new in [(both, narrow), (late, Some(attaching(8)))] {
        let messages = store.messages();
        let posted = messages.create(&ws(), new, IfLocked::Enqueue, None).await;
        posted.unwrap().unwrap();
    }
    end(&store, &claim).await;
    let page = loomgate_domain::PageRequest::default();
    let listed = store.messages().list(&ws(), &id(1), None, page).await;
    let listed = message_ids(&listed.unwrap().unwrap().items);
    assert_eq!(listed, [id(6), id(5)]);
    assert_eq!(counted(get(&store, 1).await.file_counts), [1, 0, 0, 0]);
    assert_eq!(find(&store, 8).await, None);
    // One tool has no room; the other one has.
    let on = store.threads().get(&ws(), &id(1)).await.unwrap().unwrap();
    assert_eq!(on.tool_resources.file_ids(), ["file-3"]);
}
