//! Promises about ids and tokens that the adapter makes.

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::{Adapter, account_of, assert_eq, code, new_session, new_user};

pub(super) async fn ids_are_uuids_of_version_7(adapter: Adapter) {
    // The random bits of a UUIDv7: all but the time, the version and the variant.
    const RANDOM: u128 = 0x0fff_3fff_ffff_ffff_ffff;
    const KINDS: [&str; 4] = ["user", "session", "account", "verification"];
    let mut made: [Vec<u128>; 4] = Default::default();
    for round in 0..64 {
        let user = new_user(&adapter).await;
        let session = new_session(&adapter, &user).await;
        let account = account_of(&user, &round.to_string());
        let account = adapter.create_account(account).await.unwrap();
        let verification = adapter.create_verification(code("a", "b")).await.unwrap();
        let ids = [user.id, session.id, account.id, verification.id];
        for (made, id) in made.iter_mut().zip(ids) {
            let uuid: Uuid = id.parse().unwrap();
            assert_eq!(uuid.get_version_num(), 7, "{id} is not a UUIDv7");
            assert_eq!(
                uuid.get_variant(),
                uuid::Variant::RFC4122,
                "{id} is not a UUIDv7"
            );
            assert_eq!(uuid.hyphenated().to_string(), id);
            made.push(uuid.as_u128());
        }
        // A counter that some generators keep within a millisecond begins anew.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for (kind, made) in KINDS.iter().zip(made) {
        let changing = made.iter().fold(0, |bits, id| bits | (id ^ made[0]));
        let constant = RANDOM & !changing;
        // RFC 9562 lets a generator keep the first bit of a counter at zero.
        assert!(
            constant.count_ones() <= 1,
            "bits of the {kind} ids that never change: {constant:#034x}"
        );
    }
}

pub(super) async fn tokens_are_random(adapter: Adapter) {
    const TOKENS: usize = 400;
    const BYTES: usize = 32;
    // 400 random bytes have 202 different values on average, and fewer than 150 practically never.
    const VALUES: usize = 150;
    let different = |values: &mut dyn Iterator<Item = u8>| values.collect::<HashSet<_>>().len();
    let user = new_user(&adapter).await;
    let mut tokens = Vec::new();
    for _ in 0..TOKENS {
        let token = new_session(&adapter, &user).await.token;
        let bytes = URL_SAFE_NO_PAD
            .decode(&token)
            .expect("a token is base64url without padding");
        let bytes: [u8; BYTES] = bytes.try_into().expect("a token has 32 bytes");
        tokens.push(bytes);
    }
    for position in 0..BYTES {
        let values = different(&mut tokens.iter().map(|token| token[position]));
        assert!(values >= VALUES, "byte {position} has {values} values");
        for bit in 0..8 {
            let set = tokens
                .iter()
                .filter(|token| token[position] >> bit & 1 == 1);
            let share = set.count();
            assert!(
                (TOKENS / 4..=TOKENS * 3 / 4).contains(&share),
                "bit {bit} of byte {position} is set in {share} of {TOKENS} tokens"
            );
        }
        let steps = tokens.windows(2);
        let steps = steps.map(|two| two[1][position].wrapping_sub(two[0][position]));
        let steps = different(&mut { steps });
        assert!(
            steps >= VALUES,
            "byte {position} follows from the token before"
        );
        for other in 0..position {
            let differences = tokens.iter().map(|token| token[position] ^ token[other]);
            let differences = different(&mut { differences });
            assert!(
                differences >= VALUES,
                "byte {position} follows from byte {other}"
            );
        }
    }
}
