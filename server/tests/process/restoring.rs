//! A backup does not go where something else is.

use crate::common::Program;
use crate::operating::{done, refused};

#[tokio::test]
async fn a_backup_does_not_go_over_what_is_there_unless_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup, foreign) = (
        folder.path().join("data"),
        folder.path().join("backup"),
        folder.path().join("foreign"),
    );
    Program::start(&data).await.kill().await;
    done(&data, &["backup", backup.to_str().unwrap()]).await;
    let restore = ["restore", backup.to_str().unwrap()];
    let over = refused(&data, &restore).await;
    assert!(
        over.contains("holds a database") && over.contains("--force"),
        "{over}"
    );

    // No database, but attachments that are not of this server.
    let attachment = foreign.join("blobs/a5/something");
    std::fs::create_dir_all(attachment.parent().unwrap()).unwrap();
    std::fs::write(&attachment, b"somebody else's").unwrap();
    let beside = refused(&foreign, &restore).await;
    assert!(
        beside.contains("holds attachments") && beside.contains("--force"),
        "{beside}"
    );
    assert!(!foreign.join("sottovoce.db").exists(), "nothing is touched");
    done(&foreign, &["restore", "--force", backup.to_str().unwrap()]).await;
    assert!(foreign.join("sottovoce.db").exists());
    assert_eq!(std::fs::read(&attachment).unwrap(), b"somebody else's");
}

#[tokio::test]
async fn a_backup_that_fails_leaves_nothing_and_none_goes_among_what_it_copies() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    Program::start(&data).await.kill().await;
    for within in [data.clone(), data.join("backup"), data.join("blobs/../blobs/a5")] {
        let text = refused(&data, &["backup", within.to_str().unwrap()]).await;
        assert!(text.contains("among the server's own files"), "{text}");
    }
    assert!(!data.join("backup").exists());
    // Neither a file nor a folder of attachments: it cannot be copied.
    let attachment = data.join("blobs/a5/lost");
    std::fs::create_dir_all(attachment.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(folder.path(), &attachment).unwrap();
    refused(&data, &["backup", backup.to_str().unwrap()]).await;
    assert!(!backup.exists(), "it can be tried again under the same name");
    std::fs::remove_file(&attachment).unwrap();
    done(&data, &["backup", backup.to_str().unwrap()]).await;
    assert!(backup.join("backup.json").exists());
}
