//! Encrypted requests get encrypted answers, errors included.

use bigbrotr_core::event::Event;
use nostr::nips::{nip04, nip44};
use nostr::{EventBuilder, Kind, Tag};

use crate::support::World;

#[derive(Clone, Copy)]
enum Cipher {
    Nip04,
    Nip44,
}

impl World {
    fn seal(&self, cipher: Cipher, text: &str) -> String {
        let (secret, key) = (self.customer.secret_key(), self.node.public_key());
        match cipher {
            Cipher::Nip04 => nip04::encrypt(secret, &key, text).unwrap(),
            Cipher::Nip44 => nip44::encrypt(secret, &key, text, nip44::Version::V2).unwrap(),
        }
    }

    fn unseal(&self, cipher: Cipher, text: &str) -> String {
        let (secret, key) = (self.customer.secret_key(), self.node.public_key());
        match cipher {
            Cipher::Nip04 => nip04::decrypt(secret, &key, text).unwrap(),
            Cipher::Nip44 => nip44::decrypt(secret, &key, text).unwrap(),
        }
    }

    async fn ask_sealed(&self, content: String) -> Event {
        let tags = [
            Tag::parse(["encrypted"]).unwrap(),
            Tag::public_key(self.node.public_key()),
        ];
        let request = EventBuilder::new(Kind::Custom(5450), content).tags(tags);
        let id = self.send_event(request).await;
        self.answer(id).await
    }
}

#[tokio::test]
async fn an_encrypted_request_gets_an_encrypted_answer_without_its_input() {
    let world = World::new().await;
    let dvm = world.start_dvm().await;
    let params = [("limit".to_owned(), "3".to_owned())].into();
    let expected = world.catalog.run("kinds.list", &params).await.unwrap().json;
    for cipher in [Cipher::Nip04, Cipher::Nip44] {
        let hidden = r#"[["i","kinds.list","text"],["param","limit","3"]]"#;
        let result = world.ask_sealed(world.seal(cipher, hidden)).await;
        assert_eq!(result.kind, 6450);
        assert_eq!(world.unseal(cipher, &result.content), expected);
        assert!(result.tags.iter().any(|tag| tag[0] == "encrypted"));
        assert!(!result.to_json().contains("kinds.list"));
    }
    dvm.stop().await;
}

#[tokio::test]
async fn errors_of_encrypted_requests_are_encrypted_unless_nothing_was_read() {
    let world = World::new().await;
    let dvm = world.start_dvm().await;
    let hidden = world.seal(Cipher::Nip44, r#"[["i","secret.question","text"]]"#);
    let feedback = world.ask_sealed(hidden).await;
    assert_eq!(feedback.kind, 7000);
    assert!(!feedback.to_json().contains("secret.question"));
    let error = world.unseal(Cipher::Nip44, &feedback.content);
    assert!(error.contains("unknown_query") && error.contains("secret.question"));

    let feedback = world.ask_sealed("rubbish".to_owned()).await;
    assert!(
        feedback.content.contains("undecryptable"),
        "{}",
        feedback.content
    );
    dvm.stop().await;
}
