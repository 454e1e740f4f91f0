//! Whether a history could have happened one operation after the other: the search of Wing and Gong, which tries every
//! operation that may come next and remembers where that led nowhere.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// An operation, as its caller saw it.
#[derive(Clone, Debug)]
pub(crate) struct Event<O, A> {
    pub(crate) operation: O,
    pub(crate) invoked: u64,
    /// When it returned what. `None` where it was dropped: it may have happened at any time since, or never.
    pub(crate) returned: Option<(u64, A)>,
}

/// What an object does, where nobody else is at it.
pub(crate) trait Model: Clone + Default + Eq + Hash + Debug {
    type Operation: Clone + Debug;
    type Answer: PartialEq + Clone + Debug;

    fn apply(&mut self, operation: &Self::Operation) -> Self::Answer;
}

type Events<M> = [Event<<M as Model>::Operation, <M as Model>::Answer>];

/// Whether some order explains all answers, beginning with the default state.
pub(crate) fn is_linearizable<M: Model>(history: &Events<M>) -> bool {
    assert!(history.len() <= 64, "one bit for each");
    explain(&M::default(), history, 0, &mut HashSet::new())
}

/// `done` are those that have taken their place already.
fn explain<M: Model>(
    state: &M,
    history: &Events<M>,
    done: u64,
    in_vain: &mut HashSet<(u64, M)>,
) -> bool {
    let left = || (0..history.len()).filter(|index| done & (1 << index) == 0);
    // Whoever was invoked after another's return comes after it.
    let Some(first_return) = left()
        .filter_map(|index| history[index].returned.as_ref())
        .map(|(returned, _)| *returned)
        .min()
    else {
        return true;
    };
    if !in_vain.insert((done, state.clone())) {
        return false;
    }
    left()
        .filter(|&index| history[index].invoked < first_return)
        .any(|index| {
            let mut next = state.clone();
            let answer = next.apply(&history[index].operation);
            let returned = history[index].returned.as_ref();
            returned.is_none_or(|(_, returned)| *returned == answer)
                && explain(&next, history, done | (1 << index), in_vain)
        })
}

#[cfg(test)]
mod tests {
    use super::{Event, Model, is_linearizable};

    /// A number that is read (`None`) and written.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
    struct Register(u8);

    impl Model for Register {
        type Operation = Option<u8>;
        type Answer = u8;

        fn apply(&mut self, write: &Option<u8>) -> u8 {
            self.0 = write.unwrap_or(self.0);
            self.0
        }
    }

    /// The operation, when it was invoked, and when it returned what.
    type Call = (Option<u8>, u64, Option<(u64, u8)>);

    fn check(events: &[Call]) -> bool {
        let history: Vec<_> = events
            .iter()
            .map(|&(operation, invoked, returned)| Event {
                operation,
                invoked,
                returned,
            })
            .collect();
        is_linearizable::<Register>(&history)
    }

    #[test]
    fn what_overlaps_may_come_in_any_order() {
        let write = (Some(1), 0, Some((9, 1)));
        assert!(check(&[write, (None, 1, Some((2, 0)))]));
        assert!(check(&[write, (None, 1, Some((2, 1)))]));
        assert!(check(&[
            write,
            (None, 1, Some((2, 0))),
            (None, 3, Some((4, 1)))
        ]));
    }

    #[test]
    fn nothing_goes_back() {
        let write = (Some(1), 0, Some((9, 1)));
        assert!(!check(&[
            write,
            (None, 1, Some((2, 1))),
            (None, 3, Some((4, 0)))
        ]));
        assert!(!check(&[
            (Some(1), 0, Some((1, 1))),
            (None, 2, Some((3, 0)))
        ]));
        assert!(!check(&[
            (None, 0, Some((1, 1))),
            (Some(1), 2, Some((3, 1)))
        ]));
    }

    #[test]
    fn what_was_dropped_may_happen_later_or_never_but_once() {
        let dropped = (Some(1), 0, None);
        let (old, new) = (0, 1);
        let reads = |first, second| {
            [
                dropped,
                (None, 1, Some((2, first))),
                (None, 3, Some((4, second))),
            ]
        };
        assert!(check(&reads(old, old)));
        assert!(check(&reads(old, new)));
        assert!(check(&reads(new, new)));
        assert!(!check(&reads(new, old)));
        assert!(!check(&[(None, 0, Some((1, 1))), (Some(1), 2, None)]));
    }
}
