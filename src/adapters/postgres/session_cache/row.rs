//! A cached session, with its user if a caller wanted both: its texts stand one after the other in one piece of memory,
//! so that an answer reads few places that no processor has at hand.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::protocol::Stamp;
use crate::types::{Metadata, Session, User};

/// Bytes of text of a session with its user. What has more is not cached, so that memory is bounded.
const MAX_TEXT: usize = 16 * 1024;
/// Of a session and its user.
const TEXTS: usize = 13;

/// A session without its token, and its user.
pub(in super::super) struct Row {
    pub(super) stamp: Stamp,
    pub(super) expires_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    active: bool,
    user: Option<UserColumns>,
    texts: Texts,
}

/// What is no text in a user.
struct UserColumns {
    email_verified: bool,
    two_factor_enabled: bool,
    banned: bool,
    ban_expires: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// `None`: empty, as most are.
    metadata: Option<Box<Metadata>>,
}

impl Row {
    /// `None` if it has too much text.
    pub(super) fn new(stamp: Stamp, session: &Session, user: Option<&User>) -> Option<Self> {
        let mut texts = [None; TEXTS];
        let of_session = [
            Some(&session.id),
            Some(&session.user_id),
            session.ip_address.as_ref(),
            session.user_agent.as_ref(),
            session.impersonated_by.as_ref(),
            session.active_organization_id.as_ref(),
        ];
        let of_user = user.map(|user| {
            [
                user.name.as_ref(),
                user.email.as_ref(),
                user.image.as_ref(),
                user.username.as_ref(),
                user.display_username.as_ref(),
                user.role.as_ref(),
                user.ban_reason.as_ref(),
            ]
        });
        for (place, text) in texts
            .iter_mut()
            .zip(of_session.into_iter().chain(of_user.into_iter().flatten()))
        {
            *place = text.map(String::as_str);
        }
        let metadata = user.map_or(0, |user| size_of_metadata(&user.metadata));
        Some(Self {
            stamp,
            expires_at: session.expires_at,
            created_at: session.created_at,
            updated_at: session.updated_at,
            active: session.active,
            user: user.map(|user| UserColumns {
                email_verified: user.email_verified,
                two_factor_enabled: user.two_factor_enabled,
                banned: user.banned,
                ban_expires: user.ban_expires,
                created_at: user.created_at,
                updated_at: user.updated_at,
                metadata: (!user.metadata.is_empty()).then(|| Box::new(user.metadata.clone())),
            }),
            texts: Texts::new(texts, MAX_TEXT.checked_sub(metadata)?)?,
        })
    }

    pub(in super::super) fn has_user(&self) -> bool {
        self.user.is_some()
    }

    pub(in super::super) fn session(&self, token: &str) -> Session {
        self.read(token).0
    }

    pub(in super::super) fn with_user(&self, token: &str) -> Option<(Session, User)> {
        let (session, mut texts) = self.read(token);
        let columns = self.user.as_ref()?;
        let user = User {
            id: session.user_id.clone(),
            name: texts.take(),
            email: texts.take(),
            email_verified: columns.email_verified,
            image: texts.take(),
            username: texts.take(),
            display_username: texts.take(),
            two_factor_enabled: columns.two_factor_enabled,
            role: texts.take(),
            banned: columns.banned,
            ban_reason: texts.take(),
            ban_expires: columns.ban_expires,
            metadata: columns.metadata.as_deref().cloned().unwrap_or_default(),
            created_at: columns.created_at,
            updated_at: columns.updated_at,
        };
        Some((session, user))
    }

    /// The session, and the texts of the user.
    fn read(&self, token: &str) -> (Session, TextReader<'_>) {
        let mut texts = self.texts.reader();
        let session = Session {
            id: texts.take().unwrap_or_default(),
            user_id: texts.take().unwrap_or_default(),
            ip_address: texts.take(),
            user_agent: texts.take(),
            impersonated_by: texts.take(),
            active_organization_id: texts.take(),
            token: token.to_owned(),
            expires_at: self.expires_at,
            active: self.active,
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        (session, texts)
    }

    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        let metadata = self.user.as_ref().and_then(|user| user.metadata.as_deref());
        size_of::<Self>() + self.texts.text.len() + metadata.map_or(0, size_of_metadata)
    }
}

/// Texts that may be missing, in one piece.
struct Texts {
    text: Box<str>,
    /// Where each ends; [`MISSING`](Self::MISSING) if there is none.
    ends: [u16; TEXTS],
}

impl Texts {
    const MISSING: u16 = u16::MAX;

    /// `None` if they are longer than that.
    fn new(texts: [Option<&str>; TEXTS], max: usize) -> Option<Self> {
        let length: usize = texts.iter().flatten().map(|text| text.len()).sum();
        if length > max {
            return None;
        }
        let mut text = String::with_capacity(length);
        let mut ends = [Self::MISSING; TEXTS];
        for (end, part) in ends.iter_mut().zip(texts) {
            if let Some(part) = part {
                text.push_str(part);
                *end = u16::try_from(text.len())
                    .ok()
                    .filter(|end| *end < Self::MISSING)?;
            }
        }
        Some(Self {
            text: text.into_boxed_str(),
            ends,
        })
    }

    fn reader(&self) -> TextReader<'_> {
        TextReader {
            text: &self.text,
            begin: 0,
            ends: self.ends.iter(),
        }
    }
}

/// Reads texts in the order in which they were written.
struct TextReader<'a> {
    text: &'a str,
    begin: usize,
    ends: std::slice::Iter<'a, u16>,
}

impl TextReader<'_> {
    fn take(&mut self) -> Option<String> {
        let end = *self.ends.next()?;
        if end == Texts::MISSING {
            return None;
        }
        let begin = std::mem::replace(&mut self.begin, usize::from(end));
        self.text.get(begin..self.begin).map(str::to_owned)
    }
}

fn size_of_metadata(metadata: &Metadata) -> usize {
    let entries = metadata.iter();
    entries
        .map(|(key, value)| key.len() + size_of_json(value))
        .sum()
}

fn size_of_json(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(size_of_json).sum(),
            Value::Object(values) => size_of_metadata(values),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use serde_json::{Value, json};

    use super::super::protocol::Invalidations;
    use super::{MAX_TEXT, Row};
    use crate::types::{Session, User};

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 123_456_000).unwrap()
    }

    fn row(session: &Session, user: Option<&User>) -> Option<Row> {
        let invalidations = Invalidations::new(1);
        let stamp = invalidations.stamp(invalidations.ticket(), &session.id, &session.user_id);
        Row::new(stamp, session, user)
    }

    /// Whatever is missing, empty or there: each text comes back in its own place.
    #[test]
    fn a_row_comes_back_as_it_was() {
        let mut session = Session::new("s-1", "token", "u-1", time(1), time(2));
        let mut user = User::new("u-1", time(3));
        for texts in 0..1_u32 << 11 {
            let text = |bit: u32, text: &str| match (texts >> bit & 1, bit % 3) {
                (0, _) => None,
                (_, 0) => Some(String::new()),
                _ => Some(format!("{text}é{bit}")),
            };
            session.ip_address = text(0, "ip");
            session.user_agent = text(1, "agent");
            session.impersonated_by = text(2, "by");
            session.active_organization_id = text(3, "organization");
            session.active = texts % 2 == 0;
            session.updated_at = time(i64::from(texts));
            user.name = text(4, "name");
            user.email = text(5, "email");
            user.image = text(6, "image");
            user.username = text(7, "username");
            user.display_username = text(8, "display");
            user.role = text(9, "role");
            user.ban_reason = text(10, "reason");
            user.email_verified = texts % 3 == 0;
            user.two_factor_enabled = texts % 5 == 0;
            user.banned = texts % 7 == 0;
            user.ban_expires = user.banned.then(|| time(4) + TimeDelta::microseconds(7));
            user.updated_at = time(i64::from(texts) + 1);
            user.metadata.clear();
            if texts % 4 == 0 {
                user.metadata
                    .insert("plan".to_owned(), json!({"of": [texts, null]}));
            }
            let both = row(&session, Some(&user)).unwrap();
            assert_eq!(both.session("token"), session);
            assert_eq!(
                both.with_user("token"),
                Some((session.clone(), user.clone()))
            );
            let alone = row(&session, None).unwrap();
            assert_eq!(alone.session("token"), session);
            assert!(!alone.has_user() && alone.with_user("token").is_none());
        }
    }

    #[test]
    fn a_row_is_as_large_as_what_it_holds() {
        let session = Session::new("s", "token", "u", time(1), time(2));
        let mut user = User::new("u", time(3));
        let size = |user: &User| row(&session, Some(user)).unwrap().size();
        let bare = size(&user);
        assert!(bare > size_of::<Row>(), "its ids are part of it");
        user.name = Some("a".repeat(100));
        assert_eq!(size(&user), bare + 100);
        user.metadata.insert("plan".to_owned(), json!("free"));
        assert_eq!(size(&user), bare + 100 + 8 + size_of::<Value>());
        user.metadata.insert("of".to_owned(), json!(["a", "bc"]));
        assert_eq!(size(&user), bare + 100 + 13 + 4 * size_of::<Value>());
    }

    #[test]
    fn a_row_with_too_much_text_is_not_cached() {
        let mut session = Session::new("s", "token", "u", time(1), time(2));
        let mut user = User::new("u", time(3));
        session.user_agent = Some("a".repeat(MAX_TEXT - 2));
        let largest = row(&session, Some(&user)).unwrap();
        assert_eq!(largest.session("token"), session);
        user.name = Some("a".to_owned());
        assert!(row(&session, Some(&user)).is_none());
        session.user_agent = Some("a".repeat(10_000));
        assert!(row(&session, Some(&user)).is_some(), "few have so much");
        user.metadata.insert("a".repeat(MAX_TEXT), json!(null));
        assert!(row(&session, Some(&user)).is_none());
    }
}
