//! Definitions of exports: kept, changed, bounded, and seen by their workspace only.

use loomgate_domain::{
    ExportId, WorkspaceId,
    export::{ExportStatus, LogExport},
};
use loomgate_store::Error;
use serde_json::json;

use crate::{
    fixtures::{NOW, id, ws},
    home::Home,
};

on_both_engines! {
    an_export_outlives_a_restart,
    an_export_is_changed_but_not_moved,
    exports_of_another_workspace_are_not_found,
    the_oldest_exports_make_room,
}

pub(crate) fn export(n: u32) -> LogExport {
    LogExport {
        id: id(n),
        workspace: ws(),
        created_by: id(1),
        description: format!("export {n}"),
        filters: json!({"ai_model": "gpt"}),
        requested_data: vec!["id".into()],
        status: ExportStatus::Draft,
        created_at: NOW,
        updated_at: NOW,
    }
}

async fn an_export_outlives_a_restart(home: Home) {
    let home = home.kept();
    let store = home.open();
    store.logs().add_export(export(1), None).await.unwrap();
    let again = store.logs().add_export(export(1), None).await;
    assert!(matches!(again, Err(Error::Duplicate)), "{again:?}");
    store.close().await;

    let store = home.open();
    let found = store.logs().export(&ws(), &id(1)).await.unwrap();
    assert_eq!(found, Some(export(1)));
    store.close().await;
}

async fn an_export_is_changed_but_not_moved(home: Home) {
    let store = home.open();
    store.logs().add_export(export(1), None).await.unwrap();
    let (ws, first, second): (_, ExportId, ExportId) = (ws(), id(1), id(2));
    let logs = store.logs();
    let changed = logs.update_export(&ws, &first, |before| LogExport {
        id: id(7),
        workspace: id(7),
        status: ExportStatus::Success,
        ..before
    });
    let changed = changed.await.unwrap().unwrap();
    let expected = LogExport {
        status: ExportStatus::Success,
        ..export(1)
    };
    assert_eq!(changed, expected);
    let found = logs.export(&ws, &first).await.unwrap();
    assert_eq!(found, Some(expected));
    let none = logs.update_export(&ws, &second, |before| before);
    assert_eq!(none.await.unwrap(), None);
}

async fn exports_of_another_workspace_are_not_found(home: Home) {
    let store = home.open();
    store.logs().add_export(export(1), None).await.unwrap();
    let (foreign, first): (WorkspaceId, ExportId) = (id(2), id(1));
    let logs = store.logs();
    assert_eq!(logs.export(&foreign, &first).await.unwrap(), None);
    assert!(logs.exports(&foreign).await.unwrap().is_empty());
    let changed = logs.update_export(&foreign, &first, |before| before);
    assert_eq!(changed.await.unwrap(), None);
    assert_eq!(logs.exports(&ws()).await.unwrap(), [export(1)]);
}

async fn the_oldest_exports_make_room(home: Home) {
    let store = home.open();
    for n in 1..=1_003 {
        store.logs().add_export(export(n), None).await.unwrap();
    }
    let kept = store.logs().exports(&ws()).await.unwrap();
    let ids: Vec<_> = kept.iter().map(|export| export.id.clone()).collect();
    let expected: Vec<ExportId> = (4..=1_003).rev().map(id).collect();
    assert_eq!(ids, expected);
}
