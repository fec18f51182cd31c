//! Messages of NIP-01 and NIP-42 that come without end, too early, too large, or to others.

use bigbrotr_testkit::relay::faults::{ConnectionFault, Fault, ReadFault, Wire, WriteFault};

use crate::support::{check, impatient, patient, read, relay};

#[tokio::test]
async fn talk_without_end_is_no_answer() {
    for (wire, reason) in [
        (Wire::notices(), "notice"),
        (Wire::challenges(), "auth-required"),
        (Wire::foreign_oks(), "silent"),
    ] {
        let early: Fault = ConnectionFault::Begin(wire.clone()).into();
        for fault in [early, ReadFault::Answer(wire.clone()).into()] {
            let relay = relay([fault], None).await;
            let result = check(&relay, &impatient()).await;
            assert!(result.is_online() && !result.read.unwrap().ok);
            let found = read(&result);
            // A fast machine reads as much as it may before the time is up.
            assert!([reason, "byte_cap"].contains(&found), "{wire:?}: {found}");
        }
    }
}

#[tokio::test]
async fn a_giant_challenge_is_borne_and_not_kept() {
    let wire = Wire::giant_challenge(3 << 20);
    let relay = relay([ConnectionFault::Begin(wire)], None).await;
    let result = check(&relay, &patient()).await;
    // The relay still answers the question.
    assert_eq!(read(&result), "ok");
    assert!(result.write.unwrap().ok);
}

#[tokio::test]
async fn a_challenge_above_the_largest_message_ends_the_conversation() {
    let wire = Wire::giant_challenge(5 << 20);
    let relay = relay([ConnectionFault::Begin(wire)], None).await;
    let result = check(&relay, &patient()).await;
    assert_eq!(read(&result), "message_too_large");
}

#[tokio::test]
async fn an_answer_before_the_question_is_none() {
    let early = ConnectionFault::Begin(Wire::early_answers());
    let relay = relay([Fault::from(early), ReadFault::Silence.into()], None).await;
    let result = check(&relay, &impatient()).await;
    let probe = result.read.unwrap();
    assert_eq!((probe.ok, probe.reason), (false, Some("silent")));
}

#[tokio::test]
async fn an_ok_for_another_event_says_nothing_about_ours() {
    for fault in [WriteFault::WrongId, WriteFault::Answer(Wire::foreign_oks())] {
        let relay = relay([fault.clone()], None).await;
        let result = check(&relay, &impatient()).await;
        let write = result.write.unwrap();
        assert!(!write.ok && write.rtt.is_none(), "{fault:?}");
        assert!(
            ["silent", "byte_cap"].contains(&write.reason.unwrap()),
            "{fault:?}: {write:?}"
        );
    }
}

#[tokio::test]
async fn notices_in_place_of_an_ok_are_silence() {
    let relay = relay([WriteFault::Answer(Wire::notices())], None).await;
    let write = check(&relay, &impatient()).await.write.unwrap();
    assert!(!write.ok && write.rtt.is_none(), "{write:?}");
}
