//! A decision is proved later, from the log and its evidence alone.

use std::time::Duration;

use domain::approval::{self, Decision};
use domain::audit;
use evidence::decision::in_log::{InLog, NotAttested};
use evidence::leaf::Leaf;
use evidence::verify::read_line;

use crate::story::story;

#[tokio::test]
async fn the_export_and_the_evidence_prove_who_approved_what() {
    let story = story().await;
    let mut phone = story.enrol(&story.person).await;
    // Events of one millisecond have no order.
    story.bench.advance(Duration::from_secs(1));
    let asked = story.asked().await;
    let id = asked.approval_id.as_str();
    let none = approval::evidence_of(&story.bench, id).await.unwrap();
    assert!(none.is_none());
    story.sign(id, Decision::Approve, &mut phone).await.unwrap();
    let text = approval::evidence_of(&story.bench, id)
        .await
        .unwrap()
        .unwrap();
    // As long as the log has not numbered it, nothing is claimed.
    let early = audit::attest(&story.bench, &text).await.unwrap();
    assert!(matches!(early, Err(NotAttested::NoDecision { .. })));
    while audit::sequencer::run_once(&story.bench).await.unwrap() > 0 {}

    let here = audit::attest(&story.bench, &text).await.unwrap().unwrap();
    assert_eq!(here.proved.person, story.person.id);
    let said = here.to_string();
    assert!(
        said.contains("approved") && said.contains("billing"),
        "{said}"
    );

    // Somebody else, with the export and the evidence and nothing of ours.
    let (mut entries, mut checkpoints) = (Vec::new(), Vec::new());
    audit::export(&story.bench, &mut entries, &mut checkpoints)
        .await
        .unwrap();
    let exported = String::from_utf8(entries).unwrap();
    assert!(!exported.contains("billing"));
    let mut log = InLog::new(&text).unwrap();
    for line in exported.lines() {
        let (_, leaf) = read_line(line.as_bytes()).unwrap();
        log.read(&Leaf::parse(&leaf).unwrap());
    }
    assert_eq!(log.end().unwrap(), here);
    let forged = text.replace("approve", "deny");
    assert!(InLog::new(&forged).is_err());
}
