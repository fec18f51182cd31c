//! What the relay says of the reconciliation that is open, kept whoever reads it: between two of
//! its rounds the session is read for pages.

use bigbrotr_core::message::RelayMessage;

use super::refusal::{NotNegentropy, ReconcileRefusal};
use crate::session::Frame;

/// The letterbox of one reconciliation. Holds one answer: the first, or else the refusal.
#[derive(Debug)]
pub(in crate::session) struct Post {
    sub_id: String,
    answer: Option<Result<String, ReconcileRefusal>>,
}

impl Post {
    pub(super) fn new(sub_id: String) -> Self {
        Self {
            sub_id,
            answer: None,
        }
    }

    pub(super) fn sub_id(&self) -> &str {
        &self.sub_id
    }

    /// Returns what came: a message of negentropy, hex, or a refusal.
    pub(super) fn take(&mut self) -> Option<Result<String, ReconcileRefusal>> {
        self.answer.take()
    }

    /// Returns a refusal if one came. A message that we did not ask for is dropped.
    pub(super) fn take_refusal(&mut self) -> Option<ReconcileRefusal> {
        self.take().and_then(Result::err)
    }

    /// Keeps a message that belongs to the reconciliation. `was_ours` says which subscription ids
    /// the session has used: late messages for earlier ones are no fault.
    pub(in crate::session) fn receive(&mut self, frame: &Frame, was_ours: impl Fn(&str) -> bool) {
        let of_reconciliation = frame.is_of_reconciliation();
        if !of_reconciliation && !frame.may_be_closed() {
            return;
        }
        let answer = match frame.message() {
            Ok(RelayMessage::NegMsg { sub_id, message }) if sub_id == self.sub_id => Ok(message),
            Ok(RelayMessage::NegMsg { sub_id, .. }) if !was_ours(&sub_id) => {
                Err(NotNegentropy::Subscription.into())
            }
            // Some relays get the id wrong here; whom else would they mean?
            Ok(RelayMessage::NegErr { sub_id, message })
                if sub_id == self.sub_id || !was_ours(&sub_id) =>
            {
                Err(ReconcileRefusal::by_error(&message))
            }
            Ok(RelayMessage::Closed { sub_id, message }) if sub_id == self.sub_id => {
                Err(ReconcileRefusal::by_error(&message))
            }
            Err(_) if of_reconciliation => Err(NotNegentropy::Form.into()),
            _ => return,
        };
        if self.answer.is_none() || matches!((&self.answer, &answer), (Some(Ok(_)), Err(_))) {
            self.answer = Some(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::Utf8Bytes;

    use super::*;

    fn received(texts: &[&str]) -> Option<Result<String, ReconcileRefusal>> {
        let mut post = Post::new("b-2".into());
        for text in texts {
            let frame = Frame::new(Utf8Bytes::from(*text));
            post.receive(&frame, |id| id == "b-1" || id == "b-2");
        }
        post.take()
    }

    #[test]
    fn only_what_is_ours_is_kept() {
        for text in [
            r#"["NEG-MSG","b-1","61"]"#,
            r#"["NEG-ERR","b-1","closed: late"]"#,
            r#"["CLOSED","b-1","closed: late"]"#,
            r#"["CLOSED","somebody","blocked: no"]"#,
            r#"["EOSE","b-2"]"#,
            r#"["NOTICE","NEG-MSG is what I do not know"]"#,
            "NEG-MSG",
        ] {
            assert!(received(&[text]).is_none(), "{text}");
        }
        let spaced = " [ \"NEG-MSG\" , \"b-2\" , \"61\" ]";
        assert_eq!(received(&[spaced]).unwrap().unwrap(), "61");
    }

    #[test]
    fn a_refusal_outweighs_a_message_and_not_the_other_way_round() {
        let (message, refusal) = (
            r#"["NEG-MSG","b-2","61"]"#,
            r#"["NEG-ERR","b-2","closed: took too long"]"#,
        );
        for texts in [[message, refusal], [refusal, message]] {
            let refused = received(&texts).unwrap().unwrap_err();
            assert_eq!(refused.reason(), "closed", "{texts:?}");
        }
    }

    #[test]
    fn what_is_meant_for_nobody_is_a_fault() {
        for text in [
            r#"["NEG-MSG","other","61"]"#,
            r#"["NEG-MSG","b-2"]"#,
            r#"["NEG-MSG","b-2",61]"#,
            r#"["NEG-WHAT","b-2"]"#,
        ] {
            let refused = received(&[text]).unwrap().unwrap_err();
            assert_eq!(refused.reason(), "protocol", "{text}");
        }
        let refused = received(&[r#"["NEG-ERR","","blocked: no",7]"#]);
        assert_eq!(refused.unwrap().unwrap_err().reason(), "blocked");
    }
}
